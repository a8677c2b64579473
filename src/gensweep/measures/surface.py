"""The loss over a plane through the solution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gensweep.data.base import Data
from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row


@dataclass(frozen=True)
class Surface:
    """``loss`` of the training set at θ* + x·d₁ + y·d₂ for two filter-normalised directions.

    Args:
        points: Grid points per axis.
        span: The grid covers [−span, span]²; at 1 every filter has moved by its own norm.

    Error: Exact for this plane; another plane gives another picture.

    Source: Li et al. 2018 (1712.09913), §4.
    """

    points: int = 31
    span: float = 1.0

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        d1, d2 = (li_direction(solution.layout, solution.theta_P, rng.child("direction", i)) for i in (0, 1))
        grid = np.linspace(-self.span, self.span, self.points).tolist()
        for y in grid:
            losses = risk.many(solution.theta_P + x * d1 + y * d2 for x in grid)
            for x, loss in zip(grid, losses.tolist(), strict=True):
                yield Row("loss", loss, split="train", x=x, y=y)
