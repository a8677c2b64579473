"""Reported standard errors cover the truth at their nominal rate over 200 seeds."""

import math

import pytest

from gensweep.selftest.case import tried
from gensweep.selftest.table import cases
from gensweep.selftest.verdict import GOOD, by_stderr

SEEDS = 200
RANDOM = [case for case in cases() if case.share == 1]

# Every standard error over a random sample that the measures report. Searches and residuals state a range.
REPORTED = {
    "error": {"loss", "accuracy", "gap_loss", "gap_error"},
    "gradient": {"gradient_variance", "fisher_rao", "fisher_rao_model"},
    "margin": {"margin_p05", "margin_quantile"},
    "norms": {"log10_l2", "log10_l2_bound", "log10_spectral", "log10_spectral_bound", "log10_operator"},
    "path_norms": {"log10_l1_path", "log10_l2_path"},
    "spectrum": {"trace", "density"},
    "expected_sharpness": {"expected_sharpness"},
    "adaptive_sharpness": {"average_l2", "average_linf"},
    "perturbation": {"mean_loss_rise", "mean_relative_loss_rise"},
    "llc": {"llc"},
    "basin": {
        "log10_volume",
        "log10_volume_jensen",
        "log10_volume_preconditioned",
        "log10_volume_trace",
        "log10_local_volume",
    },
}


def room(nominal):
    return 4 * math.sqrt(nominal * (1 - nominal) / SEEDS)


def test_no_reported_error_is_left_out():
    found = {}
    for case in RANDOM:
        lines = tried(case, 1).lines
        found.setdefault(case.measure, set()).update(
            line.name.partition(" ")[0] for line in lines if line.judge is by_stderr
        )
    assert found == REPORTED


@pytest.mark.parametrize("case", RANDOM, ids=str)
def test_standard_errors_cover_the_truth_as_often_as_they_should(case):
    for line in tried(case, SEEDS).lines:
        assert line.verdict in GOOD, line.name
        if line.judge is by_stderr:
            assert line.ok_K.mean() > 0.85  # doubts are seldom; the rest is judged without them
            assert abs(line.covered(1) - 0.683) < room(0.683), line.name
            assert abs(line.covered(2) - 0.954) < room(0.954), line.name
