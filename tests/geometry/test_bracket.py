import numpy as np
import pytest

from gensweep.geometry.bracket import Proposals, brackets

RADII = np.array([[0.0, 0.5, 0.8, 1.1, 1.5, 2.0]])


def around(loss, radii=RADII, level=1.0, base=0.0):
    return brackets(radii, loss(radii), base, np.array([level]))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0, 7.0])
def test_a_power_is_foretold_exactly(power):
    radius_M, error_M = around(lambda r: (r / 1.05) ** power).foretold()
    assert radius_M[0] == pytest.approx(1.05, rel=1e-13)
    assert error_M[0] < 1e-12


def test_ln_r_as_a_polynomial_of_the_excess_is_foretold_exactly():
    """Five points that count carry one of degree four."""
    excess = np.linspace(-2, 1.2, 6)[None]
    radii = np.exp(0.3 + 0.5 * excess + 0.05 * excess**2 - 0.02 * excess**3 + 0.01 * excess**4)
    found = brackets(radii, np.exp(excess), 0.0, np.array([1.0]))
    assert found.foretold()[0][0] == pytest.approx(np.exp(0.3), rel=1e-9)


def test_a_wall_and_the_beginning_tell_nothing():
    found = around(lambda r: np.where(r > 1.3, np.inf, r**2))
    assert found.foretold()[0][0] == pytest.approx(1.0, rel=1e-13)


def test_points_that_rounding_may_have_put_in_the_wrong_order_do_not_mislead():
    """Two points 1e-9 apart whose losses stand the wrong way round."""
    radii = np.array([[0.5, 0.8, 1 - 2e-9, 1 - 1e-9, 1.5, 2.0]])
    loss = radii**2
    loss[0, 2], loss[0, 3] = 1 - 1e-8, 1 + 1e-8
    found = brackets(radii, loss, 0.0, np.array([1.0]))
    assert found.foretold()[0][0] == pytest.approx(1.0, rel=2e-8)
    assert found.width_M[0] == pytest.approx(1e-8, rel=1e-3)  # the jump of 2e-8 over the slope of 2
    assert not found.open_M(1e-10)[0]


def test_a_width_comes_from_points_that_there_are():
    """Too few of them for a slope: the bracket stands as it is."""
    radii = np.array([[0.0, 0.0, 1 - 1e-5, 1 + 1e-5, np.inf, np.inf]])
    found = around(lambda r: np.where(r < 9, r**2, np.inf), radii)
    assert found.width_M[0] == pytest.approx(2e-5)


def test_a_slope_begins_at_a_thousandth_of_the_wall():
    """From a plateau at 0.5 to the level at 1 the loss rises by ln 1000 per ln 2; then rounding jumps."""
    radii = np.array([[0.0, 0.5, 1 - 1e-9, 1 + 1e-9, np.inf, np.inf]])
    loss = np.array([[0.0, 0.0, 1 - 1e-3, 1 + 1e-3, np.inf, np.inf]])
    width = brackets(radii, loss, 0.0, np.array([1.0])).width_M[0]
    assert width == pytest.approx(2e-3 / (np.log(1000) / np.log(2)), rel=1e-3)


def test_a_proposal_lands_beyond_the_crossing_and_the_next_one_closes_the_bracket():
    radii = np.array([[0.5, 0.8, 0.9999, 1.1, 1.5, 2.0]])
    proposals = Proposals(1e-6)
    first = proposals(around(lambda r: r**2, radii))[0]
    assert 1 < first < 1 + 3e-7
    radii[0, 3] = first
    second = proposals(around(lambda r: r**2, radii))[0]
    assert 1 - 1e-6 < second < 1
    radii[0, 2] = second
    assert not around(lambda r: r**2, radii).open_M(1e-6)[0]


def test_without_a_slope_it_bisects():
    radii = np.array([[0.0, 0.0, 0.0, 1.0, np.inf, np.inf]])
    found = brackets(radii, np.where(radii > 0, np.inf, 0.0), 0.0, np.array([1.0]))
    assert Proposals(1e-6)(found)[0] == pytest.approx(1 / 8)
