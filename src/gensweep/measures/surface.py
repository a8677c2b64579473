"""The loss over a plane through the solution."""

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

        grid = np.linspace(-self.span, self.span, self.points).tolist()
        places = [(1.0, x, y) for y in grid for x in grid]
        plane = Combinations.of_all(torch.stack([solution.theta_P, d1, d2]), places)
        found = scored({"train": risk}, plane, lambda theta_P, c: buffers(theta_P))
        for (_, x, y), at in zip(places, found, strict=True):
            loss, accuracy = at["train"]
            yield Row("loss", loss, split="train", x=x, y=y)
            yield Row("accuracy", accuracy, split="train", x=x, y=y)
