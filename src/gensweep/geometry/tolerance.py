"""How much noise, and how large a box, costs the network a tenth of its training set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from torch import Tensor

from gensweep.geometry.box import box_maximum
from gensweep.geometry.certify import Interval, certified_crossing
from gensweep.geometry.noise import gaussian
from gensweep.geometry.risk import Risk
from gensweep.rng import Stream

ACCURACY_DROP = 0.1  # in Jiang et al. and in the code of Dziugaite et al.
START = 0.1  # first scale of a search
RTOL = 0.1  # width of its interval
ROUNDING = 1e-9  # of a fraction of examples

# points (P,) -> fraction classified right at each, (K,)
Accuracies = Callable[[Iterable[Tensor]], np.ndarray]
Spread = Callable[[float], Tensor]  # scale -> standard deviation or half-width per parameter, (P,)


def tolerated_noise(accuracies: Accuracies, theta_P: Tensor, spread: Spread, rng: Stream) -> Interval:
    """The largest scale at which Gaussian noise lowers the accuracy by at most a tenth on average.

    Args:
        accuracies: Fraction classified right at any points.
        theta_P: Where the noise is added.
        spread: Its standard deviation at a scale; grows with it.
        rng: Draw k has a stream of its own; all scales share their draws.

    Error: That of `certified_crossing`. The drop is taken to grow with the scale.
    """
    (base,) = accuracies([theta_P])

    def drops(scale: float, draws: range) -> np.ndarray:
        spread_P = spread(scale)
        noise = (gaussian(rng.child("draw", k), theta_P) for k in draws)
        return base - accuracies(theta_P + spread_P * z for z in noise)

    return certified_crossing(drops, ACCURACY_DROP, START, RTOL)


class Ascents:
    """The accuracy that ascents of the loss in a box cost, start by start, for boxes of any scale.

    Args:
        risk: Loss and accuracy.
        theta_P: Centre of the boxes.
        half_width: Half their sides at a scale.
        rng: Each start has a stream of its own; boxes share them.
        steps: Auto-PGD steps per start.
        starts: Number of starts.

    Error: A lower bound of the largest drop: the ascents follow the loss; every point on the way counts.
    """

    def __init__(
        self, risk: Risk, theta_P: Tensor, half_width: Spread, rng: Stream, steps: int, starts: int
    ) -> None:
        self.risk, self.theta_P, self.half_width, self.rng = risk, theta_P, half_width, rng
        self.steps, self.starts = steps, starts
        self.base = risk.loss_and_accuracy(theta_P)[1]
        self.found: dict[float, np.ndarray] = {}
        self.evaluations = 0

    def drops(self, scale: float) -> np.ndarray:
        """The largest drop that each start came across, (S,)."""
        if scale not in self.found:
            self.found[scale] = np.array([self._climb(scale, s) for s in range(self.starts)])
        return self.found[scale]

    def crossing(self) -> Interval:
        """Where the largest drop over the starts passes a tenth: no noise, so each scale has a side."""

        def sample(scale: float, draws: range) -> np.ndarray:
            return np.full(len(draws), self.drops(scale).max() - ROUNDING)

        return certified_crossing(sample, ACCURACY_DROP, START, RTOL)

    def _climb(self, scale: float, start: int) -> float:
        watched = _Watched(self.risk)
        rng = self.rng.child("start", start)
        found = box_maximum(watched, self.theta_P, self.half_width(scale), rng, self.steps, starts=1)
        self.evaluations += found.evaluations
        return self.base - watched.lowest


class _Watched:
    """A risk that remembers the lowest accuracy among the points where its gradient was taken."""

    def __init__(self, risk: Risk) -> None:
        self.risk, self.many, self.lowest = risk, risk.many, math.inf

    def __call__(self, theta_P: Tensor) -> float:
        return self.risk(theta_P)

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        self.lowest = min(self.lowest, self.risk.loss_and_accuracy(theta_P)[1])
        return self.risk.grad(theta_P)


def middle(found: Interval, name: str) -> tuple[float, float, dict[str, Any]]:
    """The geometric middle of an interval, half its length, and the status that its ends make.

    Args:
        found: The interval.
        name: What it holds, for the reason.
    """
    if math.isinf(found.high) and found.low == 0:
        reason = f"{name} is anywhere: no scale tried is certainly on either side"
        return math.nan, math.nan, {"status": "not_converged", "reason": reason}
    if math.isinf(found.high):
        reason = "the accuracy never drops that far: a lower bound"
        return found.low, math.nan, {"status": "censored", "reason": reason}
    if found.low == 0:
        reason = "the accuracy drops that far at every scale tried: an upper bound"
        return found.high, math.nan, {"status": "censored", "reason": reason}
    flag: dict[str, Any] = {}
    if not found.closed:
        reason = f"the noise leaves {name} open between {found.low:.3g} and {found.high:.3g}"
        flag = {"status": "not_converged", "reason": reason}
    return math.sqrt(found.low * found.high), (found.high - found.low) / 2, flag
