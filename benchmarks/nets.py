"""Five little networks, trained on digits in float64, on which brute force is still possible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gensweep.data.base import Data, Split
from gensweep.data.digits import Digits
from gensweep.data.resident import resident
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream

IMAGE = (1, 8, 8)


@dataclass(frozen=True)
class Net:
    """A trained network and what it was trained on.

    Args:
        name: As the table calls it.
        model: Holds θ*, float64, eval mode.
        data: Its training set; the other splits are empty.
    """

    name: str
    model: nn.Module
    data: Data

    @cached_property
    def theta_P(self) -> Tensor:
        """θ*."""
        return Layout.of(self.model).pack(dict(self.model.named_parameters()))

    @cached_property
    def solution(self) -> Solution:
        """The network as a measure sees it."""
        return Solution(self.model, self.theta_P, torch.zeros_like(self.theta_P))

    @cached_property
    def risk(self) -> Risk:
        """Its training loss as a measure sees it."""
        return Risk(self.solution, self.data.train, self.data)

    @cached_property
    def batch(self) -> tuple[Tensor, Tensor]:
        """All training examples, normalised, and their labels."""
        return resident(self.data.train, self.data, torch.device("cpu"), torch.float64)


def digits(count: int, classes: int) -> Data:
    """The first ``count`` training digits of the first classes."""
    source = Digits().load(Path(), Stream(0))
    chosen = np.flatnonzero(source.train_y < classes)[:count]
    train = Split(source.train_x[chosen], source.train_y[chosen], chosen)
    none = Split(source.train_x[:0], source.train_y[:0], chosen[:0])
    return Data(train, none, none, none, num_classes=classes, mean=source.mean, std=source.std)


def trained(name: str, build: Callable[[], nn.Module], steps: int, classes: int = 10) -> Net:
    """A network after some steps of Adam on the whole training set; well before its loss is zero."""
    net = Net(name, drawn(build, Stream(0, (name,))).double(), digits(200, classes))
    x, y = net.batch
    optimiser = torch.optim.Adam(net.model.parameters(), lr=0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(net.model(x), y).backward()
        optimiser.step()
    optimiser.zero_grad()
    net.model.eval()
    return net


def softmax() -> Net:
    """Softmax regression on four column means: its loss is convex, so a box has its maximum in a corner."""

    def build() -> nn.Module:
        return nn.Sequential(nn.AvgPool2d((8, 2)), nn.Flatten(), nn.Linear(4, 3))

    return trained("softmax", build, 400, 3)


def tanh() -> Net:
    """An MLP 64-10-10."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Tanh(), nn.Linear(10, 10))

    return trained("tanh MLP", build, 60)


def pooled() -> Net:
    """Convolutions with padding and stride, biases, ReLU, max-pool."""

    def build() -> nn.Module:
        first = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        second = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU()
        return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(24, 10))

    return trained("max-pool", build, 40)


def batch_normed() -> Net:
    """Batch norm, max-pool and average pool."""
    return trained("BN CNN", lambda: CNN(IMAGE, 10, width=4), 100)


def residual() -> Net:
    """ResNet-8: too large for a dense Hessian, small enough for the dense matrix of each layer."""
    return trained("ResNet-8", lambda: ResNet(IMAGE, 10, depth=8), 40)
