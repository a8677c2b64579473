"""Convolutional networks on their quick road, beside the network as it is."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.batch_norm import Reestimated, stored
from gensweep.geometry.quick import ENOUGH
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.known import lived_in
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream

SHAPE = (2, 6, 6)


class Viewed(nn.Module):
    """Maps whose places in memory matter, since it looks at them as a vector."""

    def __init__(self):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(2, 3, 3), nn.Linear(48, 4)

    def forward(self, x):
        maps = self.convolution(x)
        return self.head(maps.view(len(x), 48))


class Branching(nn.Module):
    """A forward pass that depends on the data."""

    def __init__(self):
        super().__init__()
        self.layers = CNN(SHAPE, 4, 3)

    def forward(self, x):
        return self.layers(x) if x.sum() > 0 else self.layers(-x)


def norm_twice():
    """The first batch norm can go into its layer, those after it cannot."""
    return nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(3, eps=0.1),
        nn.Flatten(),
        nn.Linear(12, 5, bias=False),
        nn.BatchNorm1d(5),
        nn.ReLU(),
        nn.Linear(5, 4),
    )


NETS = {
    "cnn": lambda: CNN(SHAPE, 4, 3),
    "resnet": lambda: ResNet(SHAPE, 4, 8, channels=4),
    "norms in odd places": norm_twice,
    "no norm": lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)),
}


def risk_of(build, n=ENOUGH, dtype=torch.float32):
    model = lived_in(drawn(build, Stream(0))).requires_grad_(True).to(dtype).eval()
    split = Split(Stream(1).normal(n * 72).reshape(n, *SHAPE), Stream(2).integers(4, n), np.arange(n))
    data = Data(split, split, split, split, 4, mean=np.zeros(1), std=np.ones(1))
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Risk(Solution(model, theta_P), split, data), theta_P


def exact(risk, theta_P, buffers):
    """The logits in float64."""
    model = copy.deepcopy(risk.model).double()
    model.load_state_dict({**risk.layout.unpack(theta_P), **buffers}, strict=False)
    with torch.no_grad():
        return model(risk.x.double())


@pytest.mark.parametrize("net", NETS)
def test_outputs_are_right_to_the_rounding_of_float32_anywhere(net):
    risk, theta_P = risk_of(NETS[net])
    assert risk.forward._quick
    step_P = 0.1 * torch.from_numpy(Stream(5).normal(len(theta_P))).float()
    for point_P in (theta_P, theta_P + step_P):
        other = {name: b + 0.3 for name, b in stored(risk.model).items()}
        for buffers in ({}, Reestimated(risk)(point_P), other):
            expected = exact(risk, point_P, buffers)
            found = risk.logits(point_P, buffers)
            assert (found - expected).abs().max() <= 2e-5 * expected.abs().max()


def test_what_can_be_folded_is_folded():
    assert len(risk_of(NETS["resnet"])[0].forward._quick.norms) == 9
    norms = risk_of(norm_twice)[0].forward._quick.norms
    assert norms == {"0": "1", "6": "7"}


def test_nothing_of_the_network_is_written_to():
    risk, theta_P = risk_of(NETS["cnn"])
    before = copy.deepcopy(risk.model.state_dict())
    kinds = [type(module) for module in risk.model.modules()]
    risk(theta_P + 1)
    assert all(torch.equal(value, before[name]) for name, value in risk.model.state_dict().items())
    assert [type(module) for module in risk.model.modules()] == kinds


def hooked():
    model = CNN(SHAPE, 4, 3)
    model.layers[0].register_forward_hook(lambda module, given, output: 2 * output)
    return model


@pytest.mark.parametrize("build", [Viewed, Branching, hooked])
def test_other_networks_take_the_plain_road(build):
    risk, theta_P = risk_of(build)
    assert risk.forward._quick is None
    assert torch.equal(risk.logits(theta_P), torch.cat([risk.forward(theta_P, x) for x, _ in risk.chunks()]))


@pytest.mark.parametrize("settings", [{"n": ENOUGH - 1}, {"dtype": torch.float64}])
def test_few_examples_and_float64_take_the_plain_road(settings):
    assert risk_of(NETS["cnn"], **settings)[0].forward._quick is None
