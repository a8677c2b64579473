import numpy as np
import pytest
import torch

from gensweep.geometry.quasi_newton import ITERATIONS, lbfgsb_maximum
from gensweep.known import Bowl
from gensweep.rng import Stream

ZERO = torch.zeros(3, dtype=torch.float64)


class Watched(Bowl):
    """A bowl that remembers where it was asked."""

    def grad(self, theta_P):
        self.seen = [*getattr(self, "seen", []), theta_P]
        return super().grad(theta_P)


def test_the_corner_of_a_bowl_whatever_the_precision():
    for dtype, rel in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        width = torch.tensor([0.1, 0.2, 0.3], dtype=dtype)
        bowl = Watched([1.0, 4.0, 9.0], base=2.0)
        found, evaluations = lbfgsb_maximum(bowl, ZERO.to(dtype), width, Stream(0))
        assert found == pytest.approx(2 + 0.5 * (1 * 0.01 + 4 * 0.04 + 9 * 0.09), rel=rel)
        assert evaluations == len(bowl.seen) <= 4 * ITERATIONS
        assert {theta.dtype for theta in bowl.seen} == {dtype}
        assert (torch.stack(bowl.seen).abs() <= width * (1 + 1e-6)).all()


def test_the_best_point_is_kept_not_the_last():
    class Sinking(Watched):
        """A slope that lies lower at every visit."""

        def grad(self, theta_P):
            value, gradient = super().grad(theta_P)
            return value - 10.0 * len(self.seen), gradient

    bowl = Sinking([1.0, 4.0, 9.0])
    found, evaluations = lbfgsb_maximum(bowl, ZERO, torch.ones(3, dtype=torch.float64), Stream(0))
    assert evaluations > 1
    assert found == Bowl.__call__(bowl, bowl.seen[0]) - 10


def test_a_nearly_flat_loss_is_climbed_as_well():
    """The slope says where to go, not how far: a loss in other units has its top in the same place."""
    small = Bowl([1e-6, 4e-6, 9e-6])
    found, evaluations = lbfgsb_maximum(small, ZERO, torch.full((3,), 0.1, dtype=torch.float64), Stream(0))
    assert found == pytest.approx(0.5 * 14e-6 * 0.01, rel=1e-9)
    assert evaluations <= 4


def test_a_top_inside_the_box_is_found():
    centre = torch.tensor([2e-4, -0.3, 400.0], dtype=torch.float64)
    hill = Bowl([-3e5, -2.0, -1e-6], base=1.0, centre=centre)
    widths = torch.tensor([1e-3, 1.0, 1e3], dtype=torch.float64)
    found, _ = lbfgsb_maximum(hill, ZERO, widths, Stream(0))
    assert found == pytest.approx(1.0, abs=1e-9)


def test_it_starts_inside_the_box_and_not_in_its_middle():
    bowl = Watched([1.0, 4.0, 9.0])
    lbfgsb_maximum(bowl, ZERO, torch.ones(3, dtype=torch.float64), Stream(0))
    assert 0 < np.abs(bowl.seen[0].numpy()).max() < 1
