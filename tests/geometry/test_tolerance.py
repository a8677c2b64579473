import math

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.box import box_maximum
from gensweep.geometry.certify import Interval
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.geometry.tolerance import Ascents, _Watched, middle, tolerated_noise
from gensweep.models.build import drawn
from gensweep.rng import Stream


@pytest.fixture
def problem():
    """A risk whose accuracy is 1, since the labels are the network's own, and its parameters."""
    model = drawn(lambda: nn.Linear(4, 3), Stream(0)).double()
    theta = Layout.of(model).pack(dict(model.named_parameters()))
    x = Stream(1).normal(160).reshape(40, 4).astype(np.float64)
    y = model(torch.from_numpy(x)).argmax(1).numpy()
    part = Split(x, y, np.arange(40))
    data = Data(part, part, part, part, 3, mean=np.zeros(1), std=np.ones(1))
    return Risk(Solution(model, theta, theta), part, data), theta


def test_noise_that_loses_a_tenth():
    """An example is lost with probability 2Φ(−1/σ), which is 0.1 at σ = 1/1.6449."""
    theta = torch.zeros(2000, dtype=torch.float64)
    accuracies = lambda points: np.array([(p.abs() < 1).double().mean().item() for p in points])  # noqa: E731
    found = tolerated_noise(accuracies, theta, lambda sigma: sigma * torch.ones_like(theta), Stream(0))
    assert found.low <= 1 / 1.6448536 <= found.high <= 1.1 * found.low


def test_the_lowest_accuracy_on_the_way_is_kept(problem):
    risk, theta = problem
    watched = _Watched(risk)
    places = [theta, -theta, theta]
    accuracies = [risk.loss_and_accuracy(place)[1] for place in places]
    assert accuracies[1] < accuracies[0]
    assert [repr(watched.grad(place)) for place in places] == [repr(risk.grad(place)) for place in places]
    assert watched.lowest == accuracies[1]


def test_ascents_are_those_of_the_box_and_are_made_once(problem):
    risk, theta = problem
    ascents = Ascents(risk, theta, lambda scale: scale * theta.abs(), Stream(0), steps=4, starts=3)
    first = ascents.drops(0.3)
    assert ascents.evaluations == 3 * 5
    assert ascents.drops(0.3) is first
    assert ascents.evaluations == 3 * 5
    assert len(set(Ascents(risk, theta, lambda s: s * theta.abs(), Stream(0), 1, 8).drops(0.3))) > 1
    watched = _Watched(risk)
    box_maximum(watched, theta, 0.3 * theta.abs(), Stream(0).child("start", 2), 4, 1)
    assert first[2] == risk.loss_and_accuracy(theta)[1] - watched.lowest


@pytest.mark.parametrize(
    ("found", "value", "stderr", "status"),
    [
        (Interval(1.0, 1.1, True), math.sqrt(1.1), 0.05, "ok"),
        (Interval(1.0, 4.0, False), 2.0, 1.5, "not_converged"),
        (Interval(3.0, math.inf, False), 3.0, math.nan, "censored"),
        (Interval(0.0, 0.5, False), 0.5, math.nan, "censored"),
    ],
)
def test_the_middle_and_what_the_ends_say(found, value, stderr, status):
    middle_value, error, flag = middle(found, "σ")
    assert middle_value == pytest.approx(value)
    assert error == pytest.approx(stderr, nan_ok=True)
    assert flag.get("status", "ok") == status
    assert np.isfinite(middle_value)
