from itertools import product

import numpy as np
import pytest
import torch

from gensweep.geometry.risk import Risk
from gensweep.geometry.subspace import Subspace
from gensweep.known import Bowl, Regression
from gensweep.measures.box_sharpness import BoxSharpness
from gensweep.rng import Stream
from gensweep.rows import checked


def rows_of(loss, theta, **settings):
    rows = checked("box_sharpness", BoxSharpness(**settings).search(loss, theta, Stream(0)))
    return {(r.quantity, r.x): r for r in rows}


def test_both_units_at_a_known_corner():
    """A separable bowl around its minimum rises by ½ Σ hᵢ ε² (|θᵢ|+1)² in every corner."""
    centre = torch.tensor([0.0, 3.0], dtype=torch.float64)
    bowl = Bowl([2.0, 1.0], base=0.5, centre=centre)
    found = rows_of(bowl, centre, epsilon=[0.1])
    rise = 0.5 * (2 * 0.1**2 + 1 * 0.4**2)
    assert found["neyshabur_sharpness", 0.1].value == pytest.approx(rise, rel=1e-12)
    assert found["keskar_sharpness", 0.1].value == pytest.approx(100 * rise / 1.5, rel=1e-12)
    assert found["neyshabur_sharpness", 0.1].stderr == pytest.approx(0, abs=1e-12)
    assert found["at_bound", 0.1].value == 1
    assert found["evaluations", 0.1].value == 105


def test_a_flat_loss_is_not_sharp():
    found = rows_of(Bowl([0.0, 0.0], base=1.0), torch.zeros(2, dtype=torch.float64), epsilon=[0.1])
    assert found["neyshabur_sharpness", 0.1].value == 0


def test_it_grows_with_the_box():
    bowl = Bowl([1.0, 2.0])
    found = rows_of(bowl, bowl.centre, epsilon=[0.01, 0.02])
    ratio = found["neyshabur_sharpness", 0.02].value / found["neyshabur_sharpness", 0.01].value
    assert ratio == pytest.approx(4)


def test_starts_that_disagree_are_flagged():
    class TwoHills:
        """A low hill to the left, a high one to the right: where a start ends depends on its sign."""

        def __call__(self, theta):
            return 0.0

        def grad(self, theta):
            height = torch.where(theta > 0, theta * 10, -theta)
            return height.item(), torch.where(theta > 0, 10.0, -1.0)

    found = rows_of(TwoHills(), torch.zeros(1, dtype=torch.float64), epsilon=[1.0], steps=2, starts=8)
    assert found["start_spread", 1.0].value > 1
    assert found["neyshabur_sharpness", 1.0].status == "not_converged"


def regression(seed, dims):
    rng = Stream(seed)
    a = torch.from_numpy(rng.child("a").normal(40 * dims)).double().view(40, dims)
    w = torch.from_numpy(rng.child("w").normal(dims)).double()
    return Regression(a, a @ w + torch.from_numpy(rng.child("b").normal(40)).double()), w


@pytest.mark.parametrize("seed", range(10))
def test_the_subspace_reaches_the_best_of_its_corners(seed):
    """A convex loss on a box in A's coordinates: all 2⁶ corners, with A⁺ from NumPy's pinv."""
    loss, w = regression(seed, 20)
    matrix = Subspace(w, 6, Stream(0).child("subspace")).kept
    half_width = 0.05 * (np.abs(np.linalg.pinv(matrix.numpy()) @ w.numpy()) + 1)
    corners = torch.tensor(list(product((-1.0, 1.0), repeat=6)), dtype=torch.float64)
    best = max(loss(w + matrix @ (s * torch.from_numpy(half_width))) for s in corners)
    row = rows_of(loss, w, epsilon=0.05, subspace=6, starts=20)["keskar_sharpness_subspace", 0.05]
    assert row.value == pytest.approx(100 * (best - loss(w)) / (1 + loss(w)), rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_the_papers_solver_agrees(seed):
    """Both climb; where L-BFGS-B ends in a lower corner, it is still a corner that PGD has passed."""
    loss, w = regression(seed, 8)
    found = rows_of(loss, w, epsilon=0.05, starts=12)
    pgd, quasi = found["keskar_sharpness", 0.05].value, found["keskar_sharpness_lbfgsb", 0.05].value
    assert 0.5 * pgd < quasi <= pgd * (1 + 1e-12)
    assert 2 <= found["evaluations_lbfgsb", 0.05].value <= 40


def test_the_papers_solver_leaves_a_minimum_and_finds_the_corner():
    centre = torch.tensor([0.0, 3.0], dtype=torch.float64)
    found = rows_of(Bowl([2.0, 1.0], base=0.5, centre=centre), centre, epsilon=0.1)
    row = found["keskar_sharpness_lbfgsb", 0.1]
    assert row.value == pytest.approx(found["keskar_sharpness", 0.1].value, rel=1e-9)
    assert np.isnan(row.stderr)


def test_an_undefined_loss_is_the_largest_for_both_solvers():
    class Cliff(Bowl):
        def grad(self, theta_P):
            value, gradient = super().grad(theta_P)
            return (float("nan") if theta_P.abs().max() > 0.05 else value), gradient

    found = rows_of(Cliff([1.0, 1.0]), torch.zeros(2, dtype=torch.float64), epsilon=0.1)
    assert found["keskar_sharpness", 0.1].status == "nonfinite"
    assert found["keskar_sharpness_lbfgsb", 0.1].status == "nonfinite"


def test_a_network_is_searched_on_its_training_set(solution, data):
    rows = checked("box_sharpness", BoxSharpness(epsilon=[1e-3], subspace=5)(solution, data, Stream(0)))
    assert {r.split for r in rows} == {"train"}
    assert rows[0].value > 0
    loss = Risk(solution, data.train, data)
    assert repr({(r.quantity, r.x): r for r in rows}) == repr(
        rows_of(loss, solution.theta_P, epsilon=[1e-3], subspace=5)
    )
