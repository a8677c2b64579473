"""The loss, its derivatives and the outputs, worked out by two processes."""

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.batch_norm import statistics
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.ranks import Ranks
from gensweep.rng import Stream
from tests.pair import pair

TOLERANCE = 1e-12


def split(n):
    x = Stream(5).normal(n * 6).reshape(n, 6)
    return Split(x, (x[:, 0] > 0).astype(np.int64), np.arange(n))


def numbers(ranks, n=11, chunk=3):
    """Everything that a Risk works out, at the same points."""
    del ranks  # the risk finds them by itself
    model = drawn(
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)), Stream(0)
    ).double()
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    data = Data(split(n), split(0), split(0), split(2), num_classes=2)
    risk = Risk(Solution(model.eval(), theta_P, theta_P), data.train, data, chunk)
    v_P = torch.linspace(-1, 1, len(theta_P), dtype=torch.float64)
    points = [theta_P + 0.1 * k * v_P for k in range(5)]
    return {
        "loss": risk(theta_P),
        "many": risk.many(iter(points)).tolist(),
        "losses": risk.losses(theta_P).tolist(),
        "logits": risk.logits(theta_P).tolist(),
        "batch": risk.logits(theta_P, statistics("batch" if n > 1 else "fixed", risk)(theta_P)).tolist(),
        "reestimated": risk.loss_and_accuracy(theta_P, statistics("reestimated", risk)(theta_P)),
        "gradient": risk.grad(theta_P)[1].tolist(),
        "loss of the gradient": risk.grad(theta_P)[0],
        "product": risk.hvp(theta_P)(v_P).tolist(),
        "examples": [g.tolist() for g in risk.example_grads(theta_P, [0, n - 1])],
        "slopes": risk.logits_along(theta_P, v_P)[1].tolist(),
    }


def few(ranks):
    """One example for two processes."""
    return numbers(ranks, n=1)


def one_chunk(ranks):
    """The graph of the gradient is kept."""
    return numbers(ranks, chunk=100)


@pytest.mark.parametrize("call", [numbers, few, one_chunk])
def test_two_processes_work_out_what_one_does(call):
    alone = call(Ranks())
    first, second = pair(call)
    assert first == second
    for name, expected in alone.items():
        assert np.allclose(first[name], expected, rtol=TOLERANCE, atol=TOLERANCE), name
