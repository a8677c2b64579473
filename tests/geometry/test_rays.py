import numpy as np
import pytest
import torch

from gensweep.geometry.ellipsoid import ellipsoid
from gensweep.geometry.lanczos import Hessian
from gensweep.geometry.metric import Metric
from gensweep.geometry.rays import Rays
from gensweep.geometry.volume import LN10, log10_mean_power
from gensweep.known import with_spectrum
from gensweep.rng import Stream

SCAN = np.geomspace(1e-3, 1e3, 41)


def rays(loss, n, count=7):
    """To the level 0.5, to a part in 10¹¹."""
    metric = Metric(torch.ones(n, dtype=torch.float64))
    centre = torch.zeros(n, dtype=torch.float64)
    return Rays(loss, centre, metric, 0.0, np.array([0.5]), SCAN, 1e-11, count, Stream(0))


def shape_of(loss, n, rank):
    return ellipsoid(Hessian(loss.hvp(None), torch.zeros(n, dtype=torch.float64)), rank, 1e-9, Stream(1))


@pytest.mark.parametrize(("n", "outliers"), [(5, 5), (60, 3), (400, 6)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_stretched_rays_measure_an_ellipsoid_to_a_millionth_of_an_order(n, outliers, seed):
    h = np.concatenate([np.geomspace(3, 800, outliers), [0.4] * (n - outliers)])
    problem = with_spectrum(h, seed)
    shape = shape_of(problem, n, rank=6)
    found, log_length_K = rays(problem, n).stretched(shape)
    log10 = log10_mean_power(np.log(found.radius_KC[:, 0]) - log_length_K, n) + shape.logdet / LN10
    assert log10 == pytest.approx(-0.5 * np.log10(h).sum(), abs=1e-6)


def test_stretched_rays_are_the_uniform_ones_leaning():
    """Radii are lengths in the metric, along P u for the u of the plain ray with the same number."""
    problem = with_spectrum([9.0, 1.0, 1.0, 4.0])
    shape = shape_of(problem, 4, rank=4)
    found, log_length_K = rays(problem, 4).stretched(shape)
    for k in range(7):
        u = Metric(torch.ones(4, dtype=torch.float64)).direction(Stream(0).child(k))
        assert log_length_K[k] == pytest.approx((shape @ u).norm().log().item(), rel=1e-6)
        # P u ends on the unit sphere of the loss, 0.5 there
        assert found.radius_KC[k, 0] == pytest.approx(np.exp(log_length_K[k]), rel=1e-6)
