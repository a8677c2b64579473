"""How many examples go through a network at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.batch_norm import Reestimated
from gensweep.geometry.pieces import LEAST, MOST_BYTES, piece
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream


@pytest.mark.parametrize(
    ("channels", "dtype", "expected"),
    [(1, torch.float32, 4096), (4, torch.float32, 1024), (4, torch.float64, 512), (1024, torch.float32, 50)],
)
def test_the_largest_output_of_any_layer_decides(channels, dtype, expected):
    """16 × 16 pixels; the layers before and behind put out less."""
    wide = nn.Conv2d(1, channels, 3, padding=1)
    model = nn.Sequential(wide, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2)).to(dtype)
    assert piece(model, model, torch.zeros(7, 1, 16, 16, dtype=dtype)) == expected
    assert expected == LEAST or expected * channels * 16 * 16 * wide.weight.itemsize == MOST_BYTES


def test_the_networks_of_the_papers():
    """ResNet-20: 16 channels of 32 × 32 pixels, 64 KB; the digits perceptron: all of the set at once."""
    shapes = {ResNet((3, 32, 32), 10, 20): ((3, 32, 32), 64), MLP((1, 8, 8), 10, [256]): ((1, 8, 8), 4096)}
    for model, (shape, expected) in shapes.items():
        assert piece(model.eval(), model, torch.zeros(3, *shape)) == expected


def test_nothing_of_the_network_is_touched_and_no_example_is_fine():
    model = drawn(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout()), Stream(0)).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    assert piece(model, model, torch.zeros(0, 3)) >= LEAST
    piece(model, model, torch.ones(5, 3))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(state, torch.get_rng_state())


class Counted(nn.Module):
    """A network whose feature maps are large, and that remembers how many examples came at a time."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 3, 1), nn.Upsample(scale_factor=128), nn.AdaptiveAvgPool2d(2), nn.BatchNorm2d(3)
        )
        self.head, self.met = nn.Linear(12, 3), []

    def forward(self, x):
        self.met.append(len(x))
        return self.head(self.layers(x).flatten(1))


@pytest.fixture
def risk():
    model = drawn(Counted, Stream(0)).double().eval()
    split = Split(Stream(1).normal(120 * 4).reshape(120, 1, 2, 2), Stream(2).integers(3, 120), np.arange(120))
    data = Data(split, split, split, split, 3, mean=np.zeros(1), std=np.ones(1))
    theta = Layout.of(model).pack(dict(model.named_parameters()))
    made = Risk(Solution(model, theta, theta), split, data)
    model.met.clear()
    return made


def met(risk, call):
    risk.model.met.clear()
    call()
    return list(risk.model.met)


def theta(risk):
    return risk.layout.pack(dict(risk.model.named_parameters()))


def test_losses_gradients_and_products_go_through_in_pieces(risk):
    at = theta(risk)
    assert met(risk, lambda: risk(at)) == met(risk, lambda: risk.grad(at)) == [40, 40, 40]
    product = risk.hvp(at)
    assert met(risk, lambda: product(at)) == []  # all three graphs are kept


def test_statistics_of_a_batch_are_those_of_the_whole_chunk(risk):
    """Which examples are normalised together is science, how many fit into a cache is not."""
    none = dict.fromkeys(name for name, _ in risk.model.named_buffers() if "running" in name)
    assert met(risk, lambda: risk.logits(theta(risk), none)) == [120]
    reestimated = Reestimated(risk)
    reestimated.twin.met.clear()
    reestimated(theta(risk))
    assert reestimated.twin.met == [120]


def test_pieces_change_nothing(risk):
    at, v = theta(risk), torch.from_numpy(Stream(3).normal(len(theta(risk)))).double()
    found = risk(at), risk.grad(at)[1], risk.hvp(at)(v), risk.hvp(at)(v)
    risk.piece = 120
    whole = risk(at), risk.grad(at)[1], risk.hvp(at)(v), risk.hvp(at)(v)
    for a, b in zip(found, whole, strict=True):
        assert torch.allclose(torch.as_tensor(a), torch.as_tensor(b), rtol=1e-12, atol=1e-14)
