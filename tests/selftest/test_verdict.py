import numpy as np
import pytest

from gensweep.rng import Stream
from gensweep.rows import Row
from gensweep.selftest.case import Line
from gensweep.selftest.verdict import (
    GOOD,
    as_bound,
    by_interval,
    by_stderr,
    from_above,
    from_below,
    inside,
    relatively,
    within,
)


def line(judge, errors, stderr=1.0, truth=10.0, status="ok"):
    rows = [Row("loss", truth + error, stderr, status=status) for error in errors]
    return Line("loss", judge, rows, [truth] * len(rows))


def errors(n, size=1.0, shift=0.0):
    return (size * Stream(3).normal(n).astype(float) + shift).tolist()


@pytest.mark.parametrize("n", [20, 200])
@pytest.mark.parametrize(
    ("stderr", "shift", "verdict"),
    [
        (1.0, 0.0, "good"),
        (0.5, 0.0, "too sure"),
        (0.15, 0.0, "WRONG"),
        (1.0, 1.5, "biased"),
        (1.0, 9.0, "WRONG"),
        (float("nan"), 0.0, "WRONG"),
    ],
)
def test_error_bars_are_held_to_their_word(n, stderr, shift, verdict):
    assert line(by_stderr, errors(n, 1.0, shift), stderr).verdict == verdict


@pytest.mark.parametrize(("n", "stderr"), [(20, 4.0), (200, 2.0)])
def test_error_bars_that_are_too_long_show_the_sooner_the_longer(n, stderr):
    assert line(by_stderr, errors(n), stderr).verdict == "too unsure"


@pytest.mark.parametrize(("error", "verdict"), [(-50.0, "lower bound"), (0.5, "lower bound"), (9.0, "WRONG")])
def test_a_lower_bound_that_says_so_may_be_low_but_not_high(error, verdict):
    assert line(as_bound, [error] * 5, status="low_ess").verdict == verdict
    assert line(as_bound, [error] * 5, status="censored").verdict == verdict
    assert line(as_bound, [error] * 5, status="not_converged").verdict == "flagged"


@pytest.mark.parametrize(
    ("error", "verdict"), [(0.0, "upper bound"), (-0.9, "upper bound"), (5.9, "upper bound"), (6.1, "loose")]
)
def test_an_upper_bound_that_says_so_may_be_high_to_a_degree_but_not_low(error, verdict):
    assert line(from_above(1.5), [error] * 3, status="censored").verdict == verdict
    assert line(from_above(1.5), [error] * 2 + [-1.1], status="censored").verdict == "WRONG"
    assert line(from_above(1.5), [error] * 3).verdict == "WRONG"


def test_one_residual_that_is_broken_is_one_too_many():
    for status in ("ok", "not_converged"):
        assert line(inside, [0.5] * 99 + [1.1], status=status).verdict == "WRONG"


def test_a_bound_that_claims_to_be_more_is_judged_as_more():
    assert line(as_bound, [-9.0] * 5).verdict == "WRONG"
    assert line(as_bound, errors(20)).verdict == "good"


def test_the_rows_that_are_ok_are_judged_without_the_others():
    mixed = line(by_stderr, errors(20))
    mixed.rows += [Row("loss", 99.0, 1.0, status="not_converged")] * 5
    mixed.truths += [10.0] * 5
    assert mixed.verdict == "good"


def test_no_error_means_none():
    assert line(by_stderr, [0.0, 1e-9], 0.0).verdict == "exact"
    assert line(by_stderr, [0.0, 1e-6], 0.0).verdict == "WRONG"


@pytest.mark.parametrize(
    ("judge", "error", "verdict"),
    [
        (within(0.1), 0.09, "exact"),
        (within(0.1), -0.11, "WRONG"),
        (relatively(0.01), 0.09, "exact"),
        (relatively(0.01), -0.11, "WRONG"),
        (by_interval, 0.9, "inside"),
        (by_interval, -1.1, "too sure"),
        (inside, -0.9, "inside"),
        (inside, 1.1, "WRONG"),
        (from_below, 0.0, "exact"),
        (from_below, -0.3, "lower bound"),
        (from_below, -0.6, "too sure"),
        (from_below, 1e-6, "WRONG"),
    ],
)
def test_promises(judge, error, verdict):
    assert line(judge, [error] * 3).verdict == verdict


@pytest.mark.parametrize("judge", [within(0.1), relatively(0.1), by_stderr, inside, from_above(2.0)])
def test_what_is_not_a_number_is_wrong(judge):
    assert line(judge, [np.nan] * 3).verdict == "WRONG"


@pytest.mark.parametrize("judge", [within(0.1), relatively(0.1), by_interval, by_stderr])
def test_who_flags_an_easy_problem_has_not_solved_it(judge):
    assert line(judge, [9.0] * 3, status="not_converged").verdict == "flagged" not in GOOD
    assert line(from_below, [-9.0] * 3, status="not_converged").verdict == "lower bound"
