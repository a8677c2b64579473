"""A small trained-looking solution and its data, made without training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.geometry.batch_norm import Reestimated
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.mlp import MLP
from gensweep.rng import Stream


def split(n: int, name: str, classes: int = 3, dims: int = 4) -> Split:
    """n random points with the class that their first coordinates favour."""
    x = Stream(1, (name,)).normal(n * dims).reshape(n, dims)
    return Split(x, x[:, :classes].argmax(1).astype(np.int64) if n else np.zeros(0, np.int64), np.arange(n))


@pytest.fixture
def data() -> Data:
    parts = [split(40, "train"), split(0, "confusion"), split(10, "poison"), split(30, "test")]
    return Data(*parts, num_classes=3, mean=np.zeros(1), std=np.ones(1))


@pytest.fixture
def solution() -> Solution:
    model = drawn(lambda: MLP((4,), 3, [6]), Stream(2)).double().eval()
    init_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model, init_P + 0.1, init_P, target_loss=0.5)


@pytest.fixture
def images() -> tuple[Solution, Data]:
    """A small convolutional net with batch norm whose statistics are those of its own training images."""
    model = drawn(lambda: CNN((1, 6, 6), 3, width=3), Stream(4)).double().eval()
    parts = [
        image_split(n, name) for n, name in ((40, "train"), (0, "confusion"), (10, "poison"), (30, "test"))
    ]
    data = Data(*parts, num_classes=3, mean=np.array([100.0]), std=np.array([70.0]))
    init_P = Layout.of(model).pack(dict(model.named_parameters()))
    solution = Solution(model, init_P + 0.1 * torch.from_numpy(Stream(5).normal(len(init_P))), init_P)
    model.load_state_dict({**solution.layout.unpack(solution.theta_P)}, strict=False)
    settled = Reestimated(Risk(solution, data.train, data))(solution.theta_P)
    model.load_state_dict(settled, strict=False)
    return solution, data


def image_split(n: int, name: str) -> Split:
    """n random 6×6 images with random labels."""
    x = (Stream(6, (name,)).uniform(n * 36) * 256).astype(np.uint8).reshape(n, 1, 6, 6)
    return Split(x, Stream(7, (name,)).integers(3, n), np.arange(n))
