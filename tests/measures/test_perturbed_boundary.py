import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.geometry.metric import li_direction
from gensweep.geometry.solution import Solution
from gensweep.measures.perturbed_boundary import PerturbedBoundary
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.rows import checked

W, B = np.array([2.0, -1.0]), 0.5


def linear(x, y):
    """A logistic regression in float64 and its data."""
    model = MLP((2,), 2, [], single_logit=True).double()
    theta_P = torch.tensor([*W, B], dtype=torch.float64)
    train = Split(np.array(x), np.array(y), np.arange(len(y)))
    return Solution(model, theta_P, theta_P), Data(train, train, train, train, 2, np.zeros(1), np.ones(1))


POINTS = ([[1.0, 2.0], [-1.0, 0.5], [0.5, -1.0]], [1, 0, 1])


@pytest.fixture
def rows():
    solution, data = linear(*POINTS)
    measure = PerturbedBoundary(steps=4, reach=2.0, points=3, span=4.0)
    return checked("perturbed_boundary", measure(solution, data, Stream(0)))


def direction():
    solution, _ = linear(*POINTS)
    return li_direction(solution.layout, solution.theta_P, Stream(0).child("direction", 0)).numpy()[:2]


def test_steps_are_closer_together_near_the_solution(rows):
    steps = {r.index: r.x for r in rows if r.quantity == "loss"}
    assert steps == pytest.approx({0: 0.0, 1: 0.125, 2: 0.5, 3: 1.125, 4: 2.0})


def test_a_linear_net_has_the_logistic_function_of_the_moved_weights(rows):
    """The bias does not move: it is no filter."""
    d = direction()
    assert np.linalg.norm(d) == pytest.approx(np.linalg.norm(W))
    found = [r for r in rows if r.quantity == "probability"]
    assert len(found) == 5 * 9
    for row in found:
        w = W + 2.0 * (row.index / 4) ** 2 * d
        truth = 1 / (1 + np.exp(-(w @ [row.x, row.y] + B)))
        assert row.value == pytest.approx(truth, abs=5.1e-4)
        assert row.value == round(row.value, 3)


def test_loss_accuracy_and_curvature_are_those_of_the_moved_weights(rows):
    """The Hessian of a logistic regression in z, one unit of which is √2 · rms(w) in each weight."""
    x, y, d = np.array(POINTS[0]), np.array(POINTS[1]), direction()
    found = {(r.quantity, r.index): r.value for r in rows if r.split == "train"}
    for k in range(5):
        z = x @ (W + 2.0 * (k / 4) ** 2 * d) + B
        p = 1 / (1 + np.exp(-z))
        assert found["loss", k] == pytest.approx(np.mean(np.logaddexp(0, z) - y * z), rel=1e-9)
        assert found["accuracy", k] == pytest.approx(np.mean((z > 0) == y))
        hessian = (x.T * (p * (1 - p))) @ x / len(x) * np.sum(W**2)
        assert found["curvature", k] == pytest.approx(np.linalg.eigvalsh(hessian)[-1], rel=1e-6)


def test_training_points_stand_with_their_class(rows):
    marks = [(r.x, r.y, r.value) for r in rows if r.quantity == "train_point"]
    assert marks == [(1.0, 2.0, 1), (-1.0, 0.5, 0), (0.5, -1.0, 1)]


def test_rescaling_layers_against_each_other_changes_nothing():
    """A ReLU net without a bias that counts: the first layer × 4, the second ÷ 4."""
    model = MLP((2,), 2, [5], single_logit=True).double()
    data = linear(*POINTS)[1]
    first, second = (
        torch.from_numpy(Stream(1).normal(10)).double(),
        torch.from_numpy(Stream(2).normal(5)).double(),
    )
    none, one = torch.zeros(5, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    numbers = []
    for scale in (1.0, 4.0):
        theta_P = torch.cat([scale * first, none, second / scale, one])
        measured = PerturbedBoundary(steps=2, points=3)(Solution(model, theta_P), data, Stream(0))
        numbers.append([row.value for row in measured])
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-9, abs=1e-3)


def test_more_inputs_have_no_plane_to_draw(solution, data):
    rows = checked("perturbed_boundary", PerturbedBoundary()(solution, data, Stream(0)))
    assert {r.status for r in rows} == {"not_applicable"}
