import numpy as np
import pytest
import torch

from gensweep.geometry.lanczos import Hessian, lanczos, largest
from gensweep.known import Bowl, with_spectrum
from gensweep.rng import Stream


def hessian(loss, n):
    theta = torch.zeros(n, dtype=torch.float64)
    return Hessian(loss.hvp(theta), theta)


def run(values, steps, seed=0):
    h = hessian(with_spectrum(values), len(values))
    return lanczos(h, h.vector(Stream(seed).normal(len(values))), steps), h


def test_as_many_steps_as_dimensions_give_the_whole_spectrum():
    values = np.linspace(-3, 5, 30)
    ritz, h = run(values, steps=99)
    assert ritz.values_M == pytest.approx(values, abs=1e-12)
    assert ritz.residuals_M.max() < 1e-10
    assert h.products == 30


def test_weights_are_the_shares_of_the_starting_vector():
    bowl = Bowl([4.0, 1.0, -2.0])
    ritz = lanczos(hessian(bowl, 3), torch.tensor([3.0, 0.0, 4.0], dtype=torch.float64), 10)
    assert ritz.values_M == pytest.approx([-2, 4])
    assert ritz.weights_M == pytest.approx([16 / 25, 9 / 25])


@pytest.mark.parametrize("steps", [1, 5, 40])
def test_moments_of_the_density_are_exact_below_twice_the_steps(steps):
    values = np.geomspace(1e-3, 10, 300)
    ritz, h = run(values, steps)
    v = h.vector(Stream(0).normal(300))
    image, v = h.product(v / v.norm()), v / v.norm()
    assert ritz.weights_M.sum() == pytest.approx(1, abs=1e-12)
    assert ritz.weights_M @ ritz.values_M == pytest.approx((v @ image).item(), rel=1e-10)
    if steps > 1:
        assert ritz.weights_M @ ritz.values_M**2 == pytest.approx((image @ image).item(), rel=1e-10)


def test_a_settled_eigenvalue_leaves_no_copies():
    """Orthogonality is lost once the outlier has settled, unless it is restored twice at every step."""
    values = np.concatenate([np.linspace(0, 1e-3, 399), [1e5]])
    ritz, _ = run(values, steps=150)
    assert (ritz.values_M > 1).sum() == 1
    assert ritz.values_M[-1] == pytest.approx(1e5, rel=1e-12)
    assert (ritz.values_M[:-1] < 1.001e-3).all()


def test_an_eigenvalue_lies_within_its_residual():
    values = np.linspace(-1, 1, 200) ** 3
    ritz, _ = run(values, steps=25)
    for value, residual in zip(ritz.values_M, ritz.residuals_M, strict=True):
        assert np.abs(values - value).min() <= residual * (1 + 1e-9)
    assert ritz.residuals_M.max() > 1e-3  # not a test of zeros
    apart, _ = run([*np.linspace(-1, 1, 199), 9.0], steps=25)
    assert apart.residuals_M[-1] < 1e-8 < 1e-3 < apart.residuals_M[12]


@pytest.mark.parametrize("n", [1, 3, 40, 41, 200])
def test_largest_eigenvalues_by_either_road(n):
    values = np.append(np.linspace(-4, 1, n - 1), 3.0)
    found, residuals = largest(hessian(with_spectrum(values), n), 3, Stream(0))
    assert found == pytest.approx(np.sort(values)[::-1][:3], abs=1e-7)
    assert residuals.max() < 1e-3


@pytest.mark.parametrize(
    ("values", "most"),
    [(np.append(np.linspace(0, 0.5, 390), np.arange(1, 11)), 30), (np.geomspace(1e-4, 10, 400), 60)],
    ids=["apart", "crowded"],
)
def test_one_run_is_enough_for_ten_eigenvalues(values, most):
    h = hessian(with_spectrum(values), 400)
    found, residuals = largest(h, 10, Stream(0))
    assert h.products <= most
    assert found == pytest.approx(values[::-1][:10], rel=1e-6)
    assert (residuals <= 1e-4 * found).all()


def test_restarts_settle_what_one_run_does_not():
    values = np.concatenate([np.linspace(0, 1, 800), [1.0004, 1.0008]])
    h = hessian(with_spectrum(values), len(values))
    found, residuals = largest(h, 1, Stream(0))
    assert h.products > 40  # the length of one run
    assert found == pytest.approx([1.0008], rel=1e-6)
    assert (residuals <= 1e-3 * found).all()


def test_largest_means_algebraically_largest():
    found, _ = largest(hessian(with_spectrum([*np.linspace(0, 1, 99), -50.0]), 100), 2, Stream(0))
    assert found[0] == pytest.approx(1.0, rel=1e-6)


def test_repeated_eigenvalues_are_counted_and_nothing_global_is_drawn():
    h = hessian(with_spectrum([5.0] * 3 + [1.0] * 150), 153)
    before = repr(np.random.get_state()[1])  # noqa: NPY002
    found, again = largest(h, 4, Stream(0)), largest(h, 4, Stream(0))
    assert found[0] == pytest.approx([5, 5, 5, 1])
    assert repr(found) == repr(again)  # residuals depend on which vectors of an eigenspace were found
    assert repr(np.random.get_state()[1]) == before  # noqa: NPY002


def test_what_has_not_settled_after_the_restarts_says_so_within_a_bounded_number_of_products():
    values = np.linspace(0, 1, 3000) ** 0.1  # a crowd at the upper end
    h = hessian(Bowl(values), 3000)
    found, residuals = largest(h, 5, Stream(0))
    assert residuals.max() > 1e-4
    assert (found <= 1 + 1e-12).all()
    assert h.products < 500


def test_zero_matrix_of_any_size():
    for n in (5, 100):
        found, residuals = largest(hessian(Bowl([0.0] * n), n), 3, Stream(0))
        assert found.tolist() == residuals.tolist() == [0, 0, 0]


def test_a_product_that_is_not_finite_ends_the_search_at_once():
    h = hessian(Bowl([np.nan, *[1.0] * 99]), 100)
    with pytest.raises(FloatingPointError, match="not finite"):
        largest(h, 3, Stream(0))
    assert h.products == 1
