import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.geometry.solution import Layout, Solution
from gensweep.measures.boundary import Boundary
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.rows import checked


def points(x):
    x = np.array(x, dtype=np.float32)
    return Split(x, (x[:, 0] > 0).astype(np.int64), np.arange(len(x)))


def test_a_linear_net_draws_the_logistic_function():
    model = MLP((2,), 2, [], single_logit=True)
    theta = torch.tensor([2.0, -1.0, 0.5])
    assert Layout.of(model).size == 3
    train = points([[1, 2], [-1, 0.5]])
    data = Data(train, train, train, train, 2, mean=np.zeros(1), std=np.ones(1))
    rows = checked("boundary", Boundary(points=3, span=4.0)(Solution(model, theta, theta), data, Stream(0)))
    found = {(r.x, r.y): r.value for r in rows if r.quantity == "probability"}
    assert len(found) == 9
    for (x, y), p in found.items():
        assert p == pytest.approx(1 / (1 + np.exp(-(2 * x - y + 0.5))), rel=1e-5, abs=1e-12)
    marks = [(r.x, r.y, r.value) for r in rows if r.quantity == "train_point"]
    assert marks == [(1.0, 2.0, 1), (-1.0, 0.5, 0)]


def test_more_inputs_have_no_plane_to_draw(solution, data):
    (row,) = checked("boundary", Boundary()(solution, data, Stream(0)))
    assert row.status == "not_applicable"
