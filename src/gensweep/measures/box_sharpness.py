"""The largest loss in a box around the solution, in Keskar's and in Neyshabur's unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.box import SPREAD, BoxMaximum, box_maximum
from gensweep.geometry.risk import Loss, Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row


@dataclass(frozen=True)
class BoxSharpness:
    """max L − L over |δᵢ| ≤ ε(|θᵢ| + 1): ``neyshabur_sharpness`` in nats, ``keskar_sharpness`` in % of 1 + L.

    Args:
        epsilons: Half-widths ε; each stands in ``x``.
        steps: Auto-PGD steps per start.
        starts: Random starts.

    Error: Lower bounds. ``stderr`` is the standard deviation over the starts, ``start_spread`` their
    range; a range above 5 % of the rise is ``not_converged``.

    Source: Keskar et al. 2016 (1609.04836), metric 2.1; Neyshabur et al. 2017 (1706.08947), §3.
    """

    epsilons: Sequence[float] = (5e-4, 1e-3)
    steps: int = 20
    starts: int = 5

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        yield from self.search(Risk(solution, data.train, data), solution.theta_P, rng)

    def search(self, loss: Loss, theta_P: Tensor, rng: Stream) -> Iterator[Row]:
        """The measure for any loss, so that a test can put a quadratic where the network goes."""
        base = loss(theta_P)
        for epsilon in self.epsilons:
            half_width_P = epsilon * (theta_P.abs() + 1)
            found = box_maximum(
                loss, theta_P, half_width_P, rng.child(repr(epsilon)), self.steps, self.starts
            )
            yield from in_both_units(found, base, epsilon)


def in_both_units(found: BoxMaximum, base: float, epsilon: float) -> Iterator[Row]:
    """The rows of one box."""
    rise = max(found.losses.max() - base, 0.0)
    spread = float(found.losses.max() - found.losses.min())
    sd = float(found.losses.std(ddof=1)) if len(found.losses) > 1 else float("nan")
    loose = spread > SPREAD * rise
    flag: dict[str, Any] = (
        {"status": "not_converged", "reason": f"the starts differ by {spread:.3g} nats"} if loose else {}
    )
    place: dict[str, Any] = {"split": "train", "x": epsilon}
    yield Row("neyshabur_sharpness", rise, sd, **place, **flag)
    yield Row("keskar_sharpness", 100 * rise / (1 + base), 100 * sd / (1 + base), **place, **flag)
    yield Row("start_spread", spread, **place)
    yield Row("at_bound", found.at_bound, **place)
    yield Row("evaluations", found.evaluations, **place)
