"""What a measure is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from gensweep.data.base import Data
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row


class Measure(Protocol):
    """A frozen dataclass of settings that turns a solution into rows.

    It draws only from ``rng``, writes nothing, and knows neither files nor the training loop.
    """

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterable[Row]:
        """The rows of this measure."""
        ...
