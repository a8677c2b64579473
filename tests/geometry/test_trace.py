import numpy as np
import pytest
import torch

from gensweep.geometry.lanczos import Hessian
from gensweep.geometry.trace import BUDGET, trace
from gensweep.known import Bowl, with_spectrum
from gensweep.rng import Stream


def estimate(loss, n, seed=0):
    theta = torch.zeros(n, dtype=torch.float64)
    hessian = Hessian(loss.hvp(theta), theta)
    return trace(hessian, Stream(seed)), hessian.products


def test_small_matrices_are_summed_exactly():
    found, products = estimate(with_spectrum(np.linspace(-1, 3, 60)), 60)
    assert found.value == pytest.approx(60.0, rel=1e-12)
    assert (found.stderr, found.settled, products) == (0, True, 60)


def test_low_rank_is_exact():
    """What lies in the sketch has no error: 15 eigenvalues in 200 dimensions."""
    found, products = estimate(with_spectrum([*np.linspace(1, 7, 15), *[0.0] * 185]), 200)
    assert found.value == pytest.approx(60.0, rel=1e-9)
    assert found.stderr < 1e-9
    assert products == 60


def test_stderr_covers_at_its_nominal_rate_without_bias():
    """Over 200 seeds, on a matrix whose sketch leaves much to the probes."""
    values = 1000 * np.arange(1, 401) ** -1.0 - 5
    problem = with_spectrum(values)
    found = [estimate(problem, 400, seed)[0] for seed in range(200)]
    z = np.array([(t.value - values.sum()) / t.stderr for t in found])
    assert abs(z.mean()) < 3.5 / np.sqrt(200)
    assert 0.58 < (np.abs(z) < 1).mean() < 0.78  # nominal 0.68 ± 0.03
    assert 0.88 < (np.abs(z) < 2).mean() < 0.99  # nominal 0.95 ± 0.02, heavier tails from 20 probes


def test_probes_are_added_until_the_error_is_small_or_the_budget_is_spent():
    """Off the diagonal everything, on it nothing: the trace is 0 and no relative error is ever small."""
    found, products = estimate(with_spectrum([*np.linspace(1, 2, 100), *-np.linspace(1, 2, 100)]), 200)
    assert products == BUDGET
    assert not found.settled
    assert abs(found.value) < 4 * found.stderr
    easy, fewer = estimate(with_spectrum(np.linspace(1, 2, 200)), 200)
    assert easy.settled
    assert fewer < BUDGET
    assert easy.stderr <= 0.02 * easy.value


def test_zero_matrix():
    found, products = estimate(Bowl([0.0] * 100), 100)
    assert (found.value, found.stderr, found.settled, products) == (0, 0, True, 60)


def test_a_sketch_that_memory_cuts_short_leaves_the_estimate_right(monkeypatch):
    monkeypatch.setattr("gensweep.geometry.trace.HELD", 5 * 400)
    values = 1000 * np.arange(1, 401) ** -1.0 - 5
    found = [estimate(with_spectrum(values), 400, seed) for seed in range(20)]
    z = np.array([(t.value - values.sum()) / t.stderr for t, _ in found])
    assert abs(z.mean()) < 3.5 / np.sqrt(20)
    assert np.abs(z).max() < 4.5
    whole = estimate(with_spectrum([*np.linspace(1, 7, 4), *[0.0] * 396]), 400)
    assert whole[0].value == pytest.approx(16.0, rel=1e-9)
    assert whole[1] == 5 + 5 + 20
