import numpy as np
import pytest
import torch

from gensweep.geometry.ellipsoid import PROBES, ellipsoid
from gensweep.geometry.lanczos import Hessian, ritz_vectors
from gensweep.known import Bowl, with_spectrum
from gensweep.rng import Stream

FLOOR = 1e-9


def hessian(loss, n):
    theta = torch.zeros(n, dtype=torch.float64)
    return Hessian(loss.hvp(theta), theta)


def matrix(shape, n):
    return torch.stack([shape @ e for e in torch.eye(n, dtype=torch.float64)], 1)


@pytest.mark.parametrize("n", [1, 4, 30, 31, 200])
def test_outliers_over_a_flat_bulk_are_whitened(n):
    """P H P = 1, by either road: written out up to 2·10 + 10 dimensions, Lanczos beyond."""
    values = [500.0, 90.0, 7.0][: n - 1] + [0.2] * (n - min(3, n - 1))
    problem = with_spectrum(values)
    shape = ellipsoid(hessian(problem, n), 10, FLOOR, Stream(0))
    p = matrix(shape, n)
    assert (p @ problem.hessian @ p - torch.eye(n)).abs().max() < 1e-8
    assert shape.logdet == pytest.approx(-0.5 * np.log(values).sum(), rel=1e-9)
    assert shape.logdet == pytest.approx(torch.linalg.slogdet(p)[1].item(), abs=1e-9)


def test_no_more_directions_than_dimensions_whiten_anything():
    values = np.geomspace(1e-3, 1e3, 20)
    problem = with_spectrum(values)
    p = matrix(ellipsoid(hessian(problem, 20), 20, FLOOR, Stream(0)), 20)
    assert (p @ problem.hessian @ p - torch.eye(20)).abs().max() < 1e-8


def test_what_has_no_vector_of_its_own_gets_the_mean_curvature():
    shape = ellipsoid(hessian(with_spectrum([1e4, *np.linspace(1, 3, 299)]), 300), 1, FLOOR, Stream(0))
    assert shape.axes_K.tolist() == pytest.approx([0.01], rel=1e-6)
    assert shape.rest**-2 == pytest.approx(2.0, rel=0.03)


def test_flat_and_negative_curvature_count_as_the_floor():
    shape = ellipsoid(hessian(Bowl([3.0, 0.0, -5.0]), 3), 3, 0.25, Stream(0))
    assert shape.axes_K.tolist() == pytest.approx([3**-0.5, 2, 2])
    shape = ellipsoid(hessian(Bowl([9.0] + [-1.0] * 99), 100), 1, 0.25, Stream(0))
    assert (shape.axes_K.item(), shape.rest) == pytest.approx((1 / 3, 2))


def test_ritz_vectors_are_orthonormal_and_their_values_curvatures():
    h = hessian(with_spectrum(np.geomspace(1e-3, 1, 200)), 200)
    values, v = ritz_vectors(h, 7, Stream(0))
    assert (v @ v.T - torch.eye(7)).abs().max() < 1e-12
    assert [(row @ (h @ row)).item() for row in v] == pytest.approx(values, rel=1e-9)
    assert values[0] == pytest.approx(1.0, rel=1e-4)


def test_products_are_counted_and_bounded():
    h = hessian(with_spectrum(np.geomspace(1e-3, 1, 200)), 200)
    ellipsoid(h, 7, FLOOR, Stream(0))
    assert h.products == 2 * 7 + 10 + PROBES


def test_a_hessian_that_is_not_finite_says_so():
    with pytest.raises(FloatingPointError, match="not finite"):
        ellipsoid(hessian(Bowl([np.nan] * 100), 100), 5, FLOOR, Stream(0))
