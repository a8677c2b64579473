"""The loss over a plane through the solution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gensweep.blocks import remembered
from gensweep.data.base import Data
from gensweep.geometry.batch_norm import statistics
from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row


@dataclass(frozen=True)
class Surface:
    """The training set over the plane of two filter-normalised directions; the first is that of `Slice`.

    Yields ``loss`` (nats) and ``accuracy`` (fraction) at θ* + x·d₁ + y·d₂.

    Args:
        points: Grid points per axis.
        span: The grid covers [−span, span]²; at 1 every filter has moved by its own norm.
        batch_norm: ``fixed``, the statistics stored with θ*, as in the source; ``reestimated`` over the
            training split at each point; ``batch``, those of each chunk of at most 10,000 examples.

    Cost: ``points``² F; ``reestimated`` adds one F to each, above 10,000 examples up to one per batch norm.

    Error: Exact for this plane; another plane gives another picture.

    Invariance: As for `Slice`.

    Trust: As for `Slice`. The two directions are not made orthogonal; in many dimensions they nearly are.

    Source: Li et al. 2018 (1712.09913), §4.
    """

    points: int = 31
    span: float = 1.0
    batch_norm: str = "fixed"

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        buffers = statistics(self.batch_norm, risk)
        d1, d2 = (li_direction(solution.layout, solution.theta_P, rng.child("direction", i)) for i in (0, 1))

        def at(theta_P: Tensor) -> tuple[float, float]:
            return risk.loss_and_accuracy(theta_P, buffers(theta_P))

        grid = np.linspace(-self.span, self.span, self.points).tolist()
        for y in grid:
            for x in grid:
                theta_P = solution.theta_P + x * d1 + y * d2
                loss, accuracy = remembered(at, theta_P, total=self.points**2)
                yield Row("loss", loss, split="train", x=x, y=y)
                yield Row("accuracy", accuracy, split="train", x=x, y=y)
