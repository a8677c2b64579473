"""The loss along one random direction through the solution."""

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
class Slice:
    """``loss`` and ``accuracy`` of the training set at θ* + x·d for a filter-normalised direction d.

    Args:
        points: Grid points, spread evenly.
        span: The grid covers [−span, span]; at 1 every filter has moved by its own norm.

    Error: Exact for this direction; another direction gives another curve.

    Source: Li et al. 2018 (1712.09913), §4.
    """

    points: int = 51
    span: float = 1.0

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        d = li_direction(solution.layout, solution.theta_P, rng.child("direction", 0))
        for x in np.linspace(-self.span, self.span, self.points).tolist():
            loss, accuracy = risk.loss_and_accuracy(solution.theta_P + x * d)
            yield Row("loss", loss, split="train", x=x)
            yield Row("accuracy", accuracy, split="train", x=x)
