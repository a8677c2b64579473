import math

import numpy as np
import pytest

from gensweep.geometry import certify
from gensweep.geometry.certify import certified_crossing
from gensweep.rng import Stream


def noise(seed, dims):
    """All draws at once, (K, dims)."""
    return Stream(seed).normal(certify.LOOKS[-1] * dims).reshape(-1, dims).astype(float)


def quadratic(seed, dims=1):
    """Mean of (scale·z)² over the dimensions: the mean over all draws is scale²."""
    z = noise(seed, dims)
    return lambda scale, draws: ((scale * z[draws.start : draws.stop]) ** 2).mean(1)


def step(seed, dims=1):
    """The fraction of the dimensions in which scale·|z| exceeds 1: the mean is 2Φ(−1/scale)."""
    z = noise(seed, dims)
    return lambda scale, draws: (np.abs(scale * z[draws.start : draws.stop]) > 1).mean(1)


@pytest.mark.parametrize(
    ("make", "truth"),
    [(quadratic, math.sqrt(0.1)), (step, 1 / 1.6448536)],
    ids=["quadratic", "step"],
)
def test_the_crossing_lies_inside_the_interval(make, truth):
    found = [certified_crossing(make(seed), 0.1, 1.0, 0.05) for seed in range(1000)]
    assert all(0 < f.low < f.high < math.inf for f in found)
    assert np.mean([f.low <= truth <= f.high for f in found]) >= 0.985


def test_a_quiet_quantity_is_closed_in_on():
    found = certified_crossing(quadratic(0, 5000), 0.1, 1.0, 0.02)
    assert found.closed
    assert found.low <= math.sqrt(0.1) <= found.high <= 1.02 * found.low


def test_a_loud_quantity_says_that_it_is_open():
    found = certified_crossing(step(0, 1), 0.1, 1.0, 0.05)
    assert not found.closed
    assert found.high > 1.05 * found.low
    assert found.evaluations < certify.PROBES * certify.LOOKS[-1]


@pytest.mark.parametrize("start", [1e-4, 0.3, 1e3])
def test_the_start_does_not_matter(start):
    found = certified_crossing(step(3, 4000), 0.1, start, 0.05)
    assert found.closed
    assert found.low <= 1 / 1.6448536 <= found.high


def test_what_never_crosses_has_no_upper_end():
    found = certified_crossing(lambda scale, draws: np.zeros(len(draws)), 0.1, 1.0, 0.05)
    assert found.high == math.inf
    assert found.low > 1e6
