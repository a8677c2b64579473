"""The loss along one random direction through the solution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from gensweep.data.base import Data
from gensweep.geometry.batch_norm import statistics
from gensweep.geometry.combinations import Combinations
from gensweep.geometry.maps import scored
from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row


@dataclass(frozen=True)
class Slice:
    """The training set along one filter-normalised direction d.

    Yields ``loss`` (nats) and ``accuracy`` (fraction) at θ* + x·d.

    Args:
        points: Grid points, spread evenly.
        span: The grid covers [−span, span]; at 1 every filter has moved by its own norm.
        batch_norm: ``fixed``, the statistics stored with θ*, as in the source; ``reestimated`` over the
            training split at each point; ``batch``, those of each chunk of at most 10,000 examples.

    Cost: ``points`` F; ``reestimated`` adds one F to each, above 10,000 examples up to one per batch norm.

    Error: Exact for this direction; another direction gives another curve.

    Invariance: Rescaling whole layers of a ReLU net against each other leaves the curve; rescaling single
    neurons does not. The scale of a filter before batch norm goes out with ``reestimated`` and ``batch``;
    with ``fixed`` it goes out when the stored statistics are rescaled along.

    Trust: ``fixed`` statistics go stale away from θ*, and much of the rise can be theirs; compare the modes.
    That the curve is convex says little: random directions average over the Hessian.

    Source: Li et al. 2018 (1712.09913), §4.
    """

    points: int = 51
    span: float = 1.0
    batch_norm: str = "fixed"

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        buffers = statistics(self.batch_norm, risk)
        d = li_direction(solution.layout, solution.theta_P, rng.child("direction", 0))

        grid = np.linspace(-self.span, self.span, self.points).tolist()
        line = Combinations.of_all(torch.stack([solution.theta_P, d]), [(1.0, x) for x in grid])
        found = scored({"train": risk}, line, lambda theta_P, c: buffers(theta_P))
        for x, at in zip(grid, found, strict=True):
            loss, accuracy = at["train"]
            yield Row("loss", loss, split="train", x=x)
            yield Row("accuracy", accuracy, split="train", x=x)
