"""The verb: what it prints, and that it finds a fault."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from gensweep.cli import main
from gensweep.geometry import volume
from gensweep.geometry.ellipsoid import Ellipsoid
from gensweep.geometry.lanczos import lanczos
from gensweep.geometry.noise import expected_rises, mean_and_stderr
from gensweep.geometry.risk import Risk
from gensweep.geometry.tolerance import tolerated_noise
from gensweep.geometry.trace import trace
from gensweep.geometry.volume import log10_mean_power
from gensweep.measures import (
    basin,
    expected_sharpness,
    gradient,
    interpolation,
    magnitude_sharpness,
    margin,
    path_norms,
    perturbation,
    spectrum,
)
from gensweep.rows import QUANTITIES
from gensweep.selftest import table


def code(*words):
    with pytest.raises(SystemExit) as left:
        main(["selftest", *words])
    return left.value.code


@pytest.fixture(scope="module")
def printed():
    """Two seeds of everything: the shape of the table, not the verdicts, which need more."""
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr(
            "builtins.print", lambda *words, sep=" ", **_: lines.extend(sep.join(words).split("\n"))
        )
        table.selftest(2)
    return lines


def test_every_measure_is_there(printed):
    headings = {line.partition(" on ")[0] for line in printed if " each)" in line}
    assert headings == set(QUANTITIES)


def test_the_table_is_narrow_plain_and_aligned(printed):
    assert max(map(len, printed)) <= 100
    assert not any("\x1b" in line for line in printed)
    assert {line.rindex("  ") for line in printed if line.endswith(("  good", "  exact"))} == {
        printed[0].rindex("  ")
    }


def test_several_sizes_of_every_case(printed):
    problems = [line.partition(" (")[0] for line in printed if " each)" in line]
    kinds = [re.sub(r"[\d,^.−-]+", "#", problem) for problem in problems]
    assert len(problems) > 40
    assert len(set(problems)) == len(problems)
    assert sum(kinds.count(kind) > 1 for kind in set(kinds)) > 12


def test_cost_is_counted(printed):
    (heading,) = (line for line in printed if line.startswith("perturbation on a bowl, n = 10 "))
    assert "(2 seeds, 42 losses, " in heading  # 20 draws and the loss at the centre, twice


def only(monkeypatch, *cases):
    """The cases whose headings begin like this."""
    kept = [case for case in table.cases() if str(case).startswith(cases)]
    assert kept
    monkeypatch.setattr(table, "cases", lambda: kept)


def summed(log_radius_K, n):
    return log10_mean_power(log_radius_K, n) + math.log10(len(log_radius_K))


def halved(sample):
    mean, stderr = mean_and_stderr(sample)
    return mean, stderr / 2


def squared(loss, theta_P, spread_P, scales, *rest):
    return expected_rises(loss, theta_P, spread_P**2, [scale**2 for scale in scales], *rest)


def squared_too(accuracies, theta_P, spread, rng):
    return tolerated_noise(accuracies, theta_P, lambda scale: spread(scale) ** 2, rng)


class Uncentred(Risk):
    """Its mean gradient is 0."""

    def grad(self, theta_P):
        loss, mean_P = super().grad(theta_P)
        return loss, 0 * mean_P


def raised(hessian, rng):
    found = trace(hessian, rng)
    return replace(found, value=1.05 * found.value)


def unsettled(hessian, count, rng):
    """Eight steps of Lanczos, and no word of the residuals."""
    found = lanczos(hessian, hessian.vector(rng.normal(len(hessian))), 8)
    return found.values_M[::-1][:count], np.zeros(count)


FAULTS = {  # what is broken, by what, and the line that says so
    "−log K dropped": (
        volume,
        "log10_mean_power",
        summed,
        "basin.log10_volume on a ball by rays, n = 2: WRONG",
    ),
    "any ray is enough": (
        basin,
        "ENOUGH_RAYS",
        0,
        "basin.log10_volume on an ellipsoid by rays, axes 1:100, n = 100: WRONG",
    ),
    "trace 5 % too large": (
        basin,
        "trace",
        raised,
        "basin.log10_volume_trace on a bowl by its trace, n = 80: biased",
    ),
    "half the stderr": (
        perturbation,
        "mean_and_stderr",
        halved,
        "perturbation.mean_loss_rise on a bowl, n = 10: too sure",
    ),
    "σ² for σ": (
        expected_sharpness,
        "expected_rises",
        squared,
        "expected_sharpness.expected_sharpness on a bowl, n = 100: WRONG",
    ),
    "σ'² for σ'": (
        magnitude_sharpness,
        "tolerated_noise",
        squared_too,
        "magnitude_sharpness.magnitude_sigma on 200 weights with an example each, ε = 0: too sure",
    ),
    "mean gradient left in": (
        gradient,
        "Risk",
        Uncentred,
        "gradient.gradient_variance on Gaussian margins, 69% right, N = 1000: WRONG",
    ),
    "det P dropped": (
        Ellipsoid,
        "logdet",
        0.0,
        "basin.log10_volume_preconditioned on six outliers over a flat bulk, n = 80: WRONG",
    ),
    "chord left in": (
        interpolation,
        "barrier",
        max,
        "interpolation.barrier train on an upturned parabola, N = 50: WRONG",
    ),
    "Σ|w| for Σw²": (
        path_norms,
        "FORMS",
        {"log10_l2_path": (1, 1)},
        "path_norms.log10_l2_path_raw on every path of a net of 9 inputs: WRONG",
    ),
    "largest margin": (
        margin,
        "order_quantile",
        lambda values, q: values.max(),
        "margin.margin_p05 on Gaussian margins, N = 300: WRONG",
    ),
    "any eigenvalue has converged": (
        spectrum,
        "largest",
        unsettled,
        "spectrum.eigenvalue 4 on five outliers, n = 500: WRONG",
    ),
}


@pytest.mark.parametrize(("module", "name", "broken", "complaint"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found_and_named_last(monkeypatch, capsys, module, name, broken, complaint):
    measure, problem = complaint.rpartition(":")[0].split(" on ")
    only(monkeypatch, f"{measure.partition('.')[0]} on {problem}")
    assert code() == 0
    monkeypatch.setattr(module, name, broken)
    assert code() == 1
    said = capsys.readouterr().out.splitlines()
    assert complaint in said[said.index(next(line for line in said if line.endswith("out of order"))) :]


def test_at_its_best_it_says_so(monkeypatch, capsys):
    only(monkeypatch, "perturbation", "hessian_ratio")
    assert code() == 0
    assert re.search(r"\n8 lines in \d+ s, 0 out of order\n$", capsys.readouterr().out)


def test_too_few_seeds_are_refused(capsys):
    assert code("--seeds", "4") == 2
    assert "ask for 5 or more" in capsys.readouterr().err
