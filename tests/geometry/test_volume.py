import numpy as np
import pytest
from scipy.special import gammaln

from gensweep.geometry.volume import (
    bootstrap_stderr,
    effective_sample_size,
    log10_ball,
    log10_mean_power,
)
from gensweep.rng import Stream


def ellipsoid_radii(h, directions):
    """Radius of {½ Σ h z² ≤ 1} along each direction, from the closed form."""
    u = np.stack([Stream(0, ("ray", k)).normal(len(h)).astype(float) for k in range(directions)])
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    return np.sqrt(2 / (u**2 * h).sum(1))


def log10_ellipsoid(h):
    """log10 of its volume over the unit ball's."""
    return np.log10(np.sqrt(2 / h)).sum()


@pytest.mark.parametrize("n", [2, 100, 268_336])
def test_equal_radii_are_a_ball(n):
    assert log10_mean_power(np.log(np.full(7, 0.3)), n) == pytest.approx(n * np.log10(0.3), rel=1e-12)
    assert effective_sample_size(np.log(np.full(7, 0.3)), n) == pytest.approx(7)


def test_no_overflow_where_r_to_the_n_would():
    assert np.isfinite(log10_mean_power(np.log([0.1, 0.2]), 10**7))


def test_balls_constant():
    for n in (1, 2, 3, 50):
        assert log10_ball(n) == pytest.approx((n / 2 * np.log(np.pi) - gammaln(n / 2 + 1)) / np.log(10))


@pytest.mark.parametrize("n", [2, 3, 4])
def test_ellipsoid_lies_within_its_own_error_bar(n):
    """Over 40 draws of the rays the deviations in units of the stated error look standard normal."""
    h = np.geomspace(1, 30, n)
    z = []
    for trial in range(40):
        u = np.random.default_rng(trial).standard_normal((400, n))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        log_r = 0.5 * np.log(2 / (u**2 * h).sum(1))
        stderr = bootstrap_stderr(log_r, n, Stream(trial))
        z.append((log10_mean_power(log_r, n) - log10_ellipsoid(h)) / stderr)
    assert np.mean(np.abs(z) < 2) > 0.85
    assert np.std(z) == pytest.approx(1, abs=0.4)


@pytest.mark.parametrize(
    ("n", "true", "papers"), [(2, -1.2, -1.23), (10, -5.99, -6.16), (100, -59.95, -78.6)]
)
def test_documented_bias_of_the_plain_estimator(n, true, papers):
    """Eigenvalues log-uniform over 1…1000, cutoff 1, 3,000 rays: in high dimension it is hopelessly low."""
    h = np.logspace(0, 3, n)
    log_r = np.log(ellipsoid_radii(h, 3000))
    estimate = log10_mean_power(log_r, n)
    assert log10_ellipsoid(h) == pytest.approx(true, abs=0.05)
    assert estimate == pytest.approx(papers, abs=0.5 if n < 100 else 4)
    if n == 100:
        assert effective_sample_size(log_r, n) < 20  # and it says so


def test_bootstrap_is_reproducible_and_zero_for_a_ball():
    log_r = np.log([0.1, 0.2, 0.4])
    assert bootstrap_stderr(log_r, 3, Stream(1)) == bootstrap_stderr(log_r, 3, Stream(1)) > 0
    assert bootstrap_stderr(np.zeros(5), 3, Stream(1)) == pytest.approx(0, abs=1e-12)
