from itertools import product

import numpy as np
import pytest
import torch

from gensweep.geometry.box import BALLS, box_maximum
from gensweep.known import Bowl, Regression
from gensweep.rng import Stream


def corners(loss, centre, half_width):
    """The loss at every corner of the box."""
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=len(centre))), dtype=torch.float64)
    return np.array([loss(centre + s * half_width) for s in signs])


@pytest.mark.parametrize("seed", range(20))
def test_regression_reaches_the_best_of_all_corners(seed):
    rng = Stream(seed)
    a = torch.from_numpy(rng.child("a").normal(40 * 8)).double().view(40, 8)
    w = torch.from_numpy(rng.child("w").normal(8)).double()
    loss = Regression(a, a @ w + torch.from_numpy(rng.child("b").normal(40)).double())
    half_width = 0.05 * (w.abs() + 1)
    found = box_maximum(loss, w, half_width, rng, steps=20, starts=12)
    assert found.losses.max() == pytest.approx(corners(loss, w, half_width).max(), rel=1e-12)
    assert found.at_bound == 1


def test_separable_bowl_has_its_known_corner_value():
    bowl = Bowl([1.0, 4.0, 9.0], base=2.0)
    half_width = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    found = box_maximum(bowl, bowl.centre, half_width, Stream(0), steps=20, starts=5)
    assert found.losses == pytest.approx(2 + 0.5 * (1 * 0.01 + 4 * 0.04 + 9 * 0.09))
    assert found.evaluations == bowl.calls == 5 * 21


def test_never_leaves_the_box_and_keeps_the_best_point():
    seen = []

    class Watched(Bowl):
        def grad(self, theta_P):
            seen.append(theta_P)
            return super().grad(theta_P)

    bowl = Watched([1.0, 2.0], centre=torch.tensor([0.3, -0.1], dtype=torch.float64))
    found = box_maximum(bowl, torch.zeros(2, dtype=torch.float64), torch.tensor([0.5, 0.5]), Stream(1), 15, 3)
    assert (torch.stack(seen).abs() <= 0.5 + 1e-12).all()
    assert found.losses.max() == max(bowl(theta) for theta in seen)


def test_the_ascent_in_a_ball_never_leaves_it_and_ends_at_its_top():
    seen = []

    class Watched(Bowl):
        def grad(self, theta_P):
            seen.append(theta_P)
            return super().grad(theta_P)

    axes = torch.tensor([0.5, 0.1, 0.0], dtype=torch.float64)
    bowl = Watched([1.0, 100.0, 7.0])
    found = box_maximum(bowl, bowl.centre, axes, Stream(0), 30, 5, BALLS["l2"])
    z = torch.stack(seen)[:, :2] / axes[:2]
    assert z.norm(dim=1).max() <= 1 + 1e-12
    assert found.losses == pytest.approx([0.5 * 100 * 0.1**2] * 5, rel=1e-6)


def test_the_best_of_many_hills_is_kept_not_the_last():
    seen = []

    class Hills(Bowl):
        def grad(self, theta_P):
            value = torch.cos(40 * theta_P).sum().item()
            seen.append(value)
            return value, -40 * torch.sin(40 * theta_P)

    zero, width = torch.full((3,), 0.1, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    found = box_maximum(Hills([1.0]), zero, width, Stream(2), steps=9, starts=4)
    per_start = np.array(seen).reshape(4, 10)
    assert found.losses.tolist() == per_start.max(1).tolist()
    assert (per_start[:, -1] < per_start.max(1)).any()  # or the test would say nothing


def test_an_undefined_loss_is_the_largest():
    class Cliff(Bowl):
        def grad(self, theta_P):
            value, gradient = super().grad(theta_P)
            return (float("nan") if theta_P.abs().max() > 0.9 else value), gradient

    found = box_maximum(Cliff([1.0]), torch.zeros(1, dtype=torch.float64), torch.ones(1), Stream(0), 10, 2)
    assert np.isinf(found.losses.max())


def test_more_starts_leave_the_first_alone():
    bowl = Bowl([1.0, 3.0], centre=torch.tensor([0.2, 0.4], dtype=torch.float64))
    zero, width = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    few, many = (box_maximum(bowl, zero, width, Stream(3), 6, starts).losses for starts in (2, 5))
    assert (few == many[:2]).all()


@pytest.mark.parametrize("ball", BALLS)
def test_a_slope_of_exactly_zero_in_float32_goes_nowhere(ball):
    class Flat:
        def grad(self, theta_P):
            assert theta_P.isfinite().all()
            return 1.0, torch.zeros_like(theta_P)

    found = box_maximum(Flat(), torch.ones(3), torch.ones(3), Stream(0), steps=3, starts=2, ball=BALLS[ball])
    assert found.losses.tolist() == [1.0, 1.0]
