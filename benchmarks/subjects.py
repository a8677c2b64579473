"""The networks that peers are timed on: sizes of the field, trained a little, float32, on real images."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gensweep.data.base import Data, Source
from gensweep.data.corrupt import draw
from gensweep.data.images import Images
from gensweep.data.resident import resident
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream

RNG = Stream(0, ("speed",))
BATCH = 128  # of every peer's DataLoader
SHAPES = {"mnist": (1, 28, 28), "cifar10": (3, 32, 32)}


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network and its training set.

    Args:
        name: As the table calls it.
        model: Holds θ*, float32, eval mode.
        data: Its training set; the other splits hold no more than they must.
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
        return Solution(self.model, self.theta_P)

    @cached_property
    def batch(self) -> tuple[Tensor, Tensor]:
        """All training examples, normalised, and their labels."""
        return resident(self.data.train, self.data, torch.device("cpu"), torch.float32)

    @property
    def loader(self) -> DataLoader:
        """The same, as a peer is given them: tensors in memory, batch by batch."""
        return DataLoader(TensorDataset(*self.batch), BATCH)

    def first(self, count: int) -> Subject:
        """The same network on the first ``count`` training examples alone."""
        train = self.data.train.take(np.arange(count))
        data = Data(
            train,
            self.data.confusion,
            self.data.poison,
            self.data.test,
            self.data.num_classes,
            self.data.mean,
            self.data.std,
        )
        return Subject(self.name, self.model, data)


@cache
def source(name: str) -> Source:
    """MNIST or CIFAR-10 where ``GENSWEEP_DATA`` has them, else ten clusters of their shape."""
    folder = os.environ.get("GENSWEEP_DATA")
    if folder:
        return Images(name).load(Path(folder), Stream(0))
    rng = np.random.default_rng(0)
    y = rng.integers(10, size=60_000)
    centres = rng.integers(128, size=(10, *SHAPES[name]), dtype=np.uint8)
    x = centres[y] + rng.integers(128, size=(len(y), *SHAPES[name]), dtype=np.uint8)
    channels = SHAPES[name][0]
    mean, std = np.full(channels, 127.5, np.float32), np.full(channels, 73.6, np.float32)
    return Source(x, y, x[:1000], y[:1000], 10, mean, std)


def trained(
    name: str, images: str, build: Callable[[], nn.Module], size: int, epochs: int, seed: int = 0
) -> Subject:
    """A network after some epochs of SGD on the first draw of so many images."""
    data = draw(source(images), Stream(seed), train_size=size)
    model = drawn(build, Stream(seed, (name,)))
    found = Subject(name, model, data)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    x, y = found.batch
    for epoch in range(epochs):
        order = torch.from_numpy(Stream(seed).child("epoch", epoch).permutation(size))
        for chosen in order.split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
    optimiser.zero_grad()
    model.eval()
    return found


@cache
def perceptron(width: int, size: int, seed: int = 0) -> Subject:
    """784–width–10 on MNIST."""
    return trained(f"mlp-{width}", "mnist", lambda: MLP((1, 28, 28), 10, [width]), size, 3, seed)


@cache
def residual(depth: int, size: int) -> Subject:
    """A ResNet on CIFAR-10."""
    return trained(f"resnet-{depth}", "cifar10", lambda: ResNet((3, 32, 32), 10, depth), size, 5)
