"""Networks and examples for timing: the same on every machine, nothing to download."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.data.resident import resident
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.mlp import MLP
from gensweep.models.resnet import ResNet
from gensweep.models.vgg import VGG
from gensweep.rng import Stream

GREY, COLOUR = (1, 28, 28), (3, 32, 32)
CLASSES = 10
CPU = torch.device("cpu")
VGG16 = [[64, 64], [128, 128], [256, 256, 256], [512, 512, 512], [512, 512, 512]]


def clusters(shape: Sequence[int], count: int) -> Data:
    """Ten clusters of uint8 images (count, …), random pictures under as much noise, as a training set."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(128, size=(CLASSES, *shape), dtype=np.uint8)
    y = np.arange(count) % CLASSES
    x = pictures[y] + rng.integers(128, size=(count, *shape), dtype=np.uint8)
    train = Split(x, y, np.arange(count))
    none = train.take(np.arange(0))
    mean, std = (np.full(shape[0], value, np.float32) for value in (127.0, 52.0))
    return Data(train, none, none, none, CLASSES, mean, std)


def solution(
    build: Callable[[], nn.Module], data: Data, steps: int = 20, device: torch.device = CPU
) -> Solution:
    """A network after some steps of Adam on at most 500 of the examples: a minimum to walk out from."""
    model = drawn(build, Stream(0)).to(device)
    x, y = resident(data.train.take(np.arange(min(500, len(data.train)))), data, device, torch.float32)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimiser.step()
    optimiser.zero_grad()
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model.eval(), theta_P, torch.zeros_like(theta_P))


def mlp(*widths: int, shape: Sequence[int] = GREY) -> Callable[[], nn.Module]:
    """Makes a perceptron with these hidden layers."""
    return lambda: MLP(shape, CLASSES, widths)


def cnn(width: int) -> Callable[[], nn.Module]:
    """Makes a small convolutional network with batch norm."""
    return lambda: CNN(COLOUR, CLASSES, width)


def resnet20() -> nn.Module:
    """ResNet-20, 272,474 parameters."""
    return ResNet(COLOUR, CLASSES, 20)


def vgg16() -> nn.Module:
    """VGG-16 for small images, 15,245,130 parameters."""
    return VGG(COLOUR, CLASSES, VGG16, [512, 512], conv_norm=False, hidden_norm=False)


def wide_mlp() -> nn.Module:
    """A perceptron of 15,304,810 parameters."""
    return MLP(COLOUR, CLASSES, [2100] * 3)
