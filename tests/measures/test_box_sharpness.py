import pytest
import torch
from known import Bowl

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
    found = rows_of(bowl, centre, epsilons=[0.1])
    rise = 0.5 * (2 * 0.1**2 + 1 * 0.4**2)
    assert found["neyshabur_sharpness", 0.1].value == pytest.approx(rise, rel=1e-12)
    assert found["keskar_sharpness", 0.1].value == pytest.approx(100 * rise / 1.5, rel=1e-12)
    assert found["neyshabur_sharpness", 0.1].stderr == pytest.approx(0, abs=1e-12)
    assert found["at_bound", 0.1].value == 1
    assert found["evaluations", 0.1].value == 105


def test_a_flat_loss_is_not_sharp():
    found = rows_of(Bowl([0.0, 0.0], base=1.0), torch.zeros(2, dtype=torch.float64), epsilons=[0.1])
    assert found["neyshabur_sharpness", 0.1].value == 0


def test_it_grows_with_the_box():
    bowl = Bowl([1.0, 2.0])
    found = rows_of(bowl, bowl.centre, epsilons=[0.01, 0.02])
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

    found = rows_of(TwoHills(), torch.zeros(1, dtype=torch.float64), epsilons=[1.0], steps=2, starts=8)
    assert found["start_spread", 1.0].value > 1
    assert found["neyshabur_sharpness", 1.0].status == "not_converged"


def test_a_network_is_searched_on_its_training_set(solution, data):
    rows = checked("box_sharpness", BoxSharpness(epsilons=[1e-3])(solution, data, Stream(0)))
    assert {r.split for r in rows} == {"train"}
    assert rows[0].value > 0
