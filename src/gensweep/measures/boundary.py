"""What the network says of every point of a square of inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gensweep.data.base import Data, Split
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

NO_PLANE = "a boundary is drawn for two inputs, which are not whole numbers, and two classes only"


@dataclass(frozen=True)
class Boundary:
    """``probability`` of class 1 at each (x, y), and the ``train_point``s with their class.

    Args:
        points: Grid points per axis.
        span: The square is [−span, span]² in raw input units.

    Cost: One forward pass of points² inputs.

    Error: Exact. Only for two inputs and two classes.

    Invariance: Any change of the weights that keeps the function.

    Trust: It is a picture: a margin that looks wide in two dimensions says nothing about more inputs.

    Example: ``Boundary(points=20, span=3.0)``
    """

    points: int = 120
    span: float = 18.0

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        if not in_a_plane(data):
            yield not_applicable("probability", NO_PLANE)
            return
        grid = square(self.points, self.span)
        probability = Risk(solution, grid, data).logits(solution.theta_P).double().softmax(1)[:, 1]
        for (x, y), p in zip(grid.x.tolist(), probability.tolist(), strict=True):
            yield Row("probability", p, x=x, y=y)
        yield from train_points(data)


def in_a_plane(data: Data) -> bool:
    """Whether the inputs are points of a plane, in two classes."""
    return data.input_shape == (2,) and data.num_classes == 2 and data.train.x.dtype.kind == "f"


def square(points: int, span: float) -> Split:
    """A grid of inputs over [−span, span]², row by row; their labels say nothing."""
    axis = np.linspace(-span, span, points, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    nothing = np.zeros(len(grid), dtype=np.int64)
    return Split(grid, nothing, nothing)


def train_points(data: Data) -> Iterator[Row]:
    """Where the training examples lie, with their class."""
    for i, ((x, y), label) in enumerate(zip(data.train.x.tolist(), data.train.y.tolist(), strict=True)):
        yield Row("train_point", label, split="train", index=i, x=x, y=y)
