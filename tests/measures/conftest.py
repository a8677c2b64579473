"""A small trained-looking solution and its data, made without training."""

from __future__ import annotations

import numpy as np
import pytest

from gensweep.data.base import Data, Split
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
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
