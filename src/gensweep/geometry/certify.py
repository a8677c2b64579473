"""At which scale a noisy quantity crosses a level, with an interval that the noise has been allowed for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gensweep.geometry.noise import mean_and_stderr

# sample(scale, draws) -> the quantity at that scale for each of these draws; equal draws, equal noise.
Sample = Callable[[float, range], np.ndarray]

LOOKS = (64, 128, 256)  # draws after which a side is decided; fewer miss what one draw in ten does
CERTAIN = 3.0  # standard errors between the mean and the level
PROBES = 24


@dataclass
class Interval:
    """Where a mean crosses a level: certainly below at ``low``, certainly above at ``high``.

    Args:
        low: Largest scale known to be below; 0 when none was found.
        high: Smallest scale known to be above; infinite when none was found.
        closed: Whether the two came as close together as was asked.
        evaluations: Draws evaluated, over all scales.
    """

    low: float = 0.0
    high: float = math.inf
    closed: bool = False
    evaluations: int = 0


def certified_crossing(sample: Sample, level: float, start: float, rtol: float) -> Interval:
    """Bisect in log scale for the place where the mean of ``sample`` crosses ``level`` upwards.

    All scales share their draws. A scale counts as below or above only when the mean lies three standard
    errors from the level. One that is still undecided after the last look stays inside the interval, and
    the search goes on between it and the two certain ends.

    Args:
        sample: One number per draw; its mean grows with the scale.
        level: The level.
        start: First scale.
        rtol: The interval is closed when high/low ≤ 1 + rtol.

    Error: Each end is on its side at three standard errors; the crossing of the mean over all draws
    was inside in 99 % of 1000 trials (tests/geometry/test_certify.py).
    """
    found = Interval()
    undecided: list[float] = []
    for _ in range(PROBES):
        scale = _next(found, undecided, start)
        side, used = _side(sample, scale, level)
        found.evaluations += used
        if side < 0:
            found.low = scale
        elif side > 0:
            found.high = scale
        else:
            undecided.append(scale)
        found.closed = found.high <= found.low * (1 + rtol)
        if found.closed or _stuck(found, undecided, rtol):
            break
    return found


def _next(found: Interval, undecided: list[float], start: float) -> float:
    """Double or halve until both sides are known, then halve the wider gap beside what is undecided."""
    inner = (min(undecided), max(undecided)) if undecided else None
    if found.high == math.inf:
        return 2 * max(found.low, inner[1] if inner else 0.0) or start
    if found.low == 0:
        return (inner[0] if inner else found.high) / 2
    if inner is None:
        return math.sqrt(found.low * found.high)
    below, above = inner[0] / found.low, found.high / inner[1]
    return math.sqrt(found.low * inner[0]) if below > above else math.sqrt(inner[1] * found.high)


def _stuck(found: Interval, undecided: list[float], rtol: float) -> bool:
    """Whether all that could still be decided is narrower than asked, and what remains is noise."""
    if not undecided or found.low == 0 or found.high == math.inf:
        return False
    gaps = min(undecided) / found.low, found.high / max(undecided)
    return max(gaps) <= 1 + rtol / 4


def _side(sample: Sample, scale: float, level: float) -> tuple[int, int]:
    """−1 below, 1 above, 0 undecided; and the draws that were needed."""
    values = np.empty(0)
    for look in LOOKS:
        values = np.concatenate([values, sample(scale, range(len(values), look))])
        mean, stderr = mean_and_stderr(values)
        # A few rare large draws have a spread that grows with their mean: a mean that lies below by
        # luck has a spread that is too small, so it is judged by the spread it would have at the level.
        stderr *= math.sqrt(max(1.0, level / max(mean, level / look)))
        if abs(mean - level) > CERTAIN * stderr:
            return (1 if mean > level else -1), look
    return 0, look
