"""Whether an estimator keeps what it promises."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gensweep.selftest.case import Line

FAR = 4.0  # standard errors; a row that is ok and further off is wrong
SELDOM = 0.05  # of the seeds; Student's t with few degrees of freedom is that often further off
NOMINAL = {1: 0.683, 2: 0.954}  # widths -> how often a normal error lies within
LONG = 2.5  # times the spread over MANY seeds; coverage alone would need more seeds to see it
MANY = 10
SMALL = 0.25  # of the stated error; a smaller bias is inside it
GAP = 0.05  # a search whose starts agree claims to have come that near
GOOD = ("good", "exact", "inside", "lower bound", "upper bound")


def by_stderr(line: Line) -> str:
    """The truth lies within ±1 and ±2 standard errors as often as of a normal error, in all rows that are ok.

    Of an easy problem most rows must be ok.
    """
    error_K, stderr_K, ok_K = line.errors_K, line.stderrs_K, line.ok_K
    if ok_K.mean() < 0.5:
        return "flagged"
    if not stderr_K[ok_K].any():
        return within(0.0)(line)
    if not np.isfinite(stderr_K[ok_K]).all() or 1 - line.covered(FAR) > _most(SELDOM, ok_K.sum()):
        return "WRONG"
    error_K, stated = error_K[ok_K], stderr_K[ok_K].mean()
    spread = max(stated, error_K.std(ddof=1) if len(error_K) > 1 else 0.0)
    if abs(error_K.mean()) > FAR * spread / math.sqrt(len(error_K)) + SMALL * stated:
        return "biased"
    if len(error_K) >= MANY and error_K.std(ddof=1) < stated / LONG:
        return "too unsure"
    return _covers(line)


def _most(share: float, seeds: int) -> float:
    """The largest share of so many seeds that chance alone would make of this one, at two standard errors."""
    return share + 2 * math.sqrt(share * (1 - share) / seeds)


def _covers(line: Line) -> str:
    for widths, nominal in NOMINAL.items():
        room = FAR * math.sqrt(nominal * (1 - nominal) / line.ok_K.sum())
        if line.covered(widths) < nominal - room:
            return "too sure"
        if line.covered(widths) > nominal + room:
            return "too unsure"
    return "good"


def as_bound(line: Line) -> str:
    """A lower bound that says so, and is not far above the truth; or else as `by_stderr`."""
    bound_K = np.array([row.status in ("low_ess", "censored") for row in line.rows])
    if bound_K.mean() < 0.5:
        return by_stderr(line)
    above_K = line.errors_K > FAR * line.stderrs_K + line.rounding_K
    return "WRONG" if (above_K & bound_K).mean() > _most(SELDOM, len(above_K)) else "lower bound"


def within(tolerance: float) -> Callable[[Line], str]:
    """Every row that is ok is right to this much."""
    return lambda line: _exact(line, np.full(len(line.rows), tolerance) + line.rounding_K)


def relatively(tolerance: float) -> Callable[[Line], str]:
    """Every row that is ok is right to this fraction of the truth, however small that is."""
    return lambda line: _exact(line, tolerance * np.abs(line.truths))


def _exact(line: Line, room_K: np.ndarray) -> str:
    off_K = ~(np.abs(line.errors_K) <= room_K)
    if (off_K & line.ok_K).any():
        return "WRONG"
    return "exact" if line.ok_K.mean() >= 0.5 else "flagged"


def by_interval(line: Line) -> str:
    """The truth lies within ± the stated error in 95 % of the rows that are ok."""
    if line.ok_K.mean() < 0.5:
        return "flagged"
    room = FAR * math.sqrt(0.05 * 0.95 / line.ok_K.sum())
    return "inside" if line.covered(1) >= 0.95 - room else "too sure"


def inside(line: Line) -> str:
    """The truth lies within ± the stated error in every row, whatever its status."""
    inside_K = np.abs(line.errors_K) <= line.stderrs_K + line.rounding_K
    return "inside" if inside_K.all() else "WRONG"


def from_above(times: float) -> Callable[[Line], str]:
    """An upper bound that says so: never below the truth, nor above so many times it, but for its error."""

    def judge(line: Line) -> str:
        room_K = line.stderrs_K + line.rounding_K
        if line.ok_K.any() or not (line.errors_K >= -room_K).all():
            return "WRONG"
        return (
            "upper bound" if (line.errors_K <= room_K + (times - 1) * np.abs(line.truths)).all() else "loose"
        )

    return judge


def from_below(line: Line) -> str:
    """Never above the truth; seldom 5 % below it without saying so."""
    if (line.errors_K > line.rounding_K).any():
        return "WRONG"
    short_K = line.errors_K < -GAP * np.abs(line.truths)
    claimed_K = line.ok_K & np.isfinite(line.stderrs_K)
    if (short_K & claimed_K).mean() > _most(SELDOM, len(short_K)):
        return "too sure"
    return "lower bound" if (np.abs(line.errors_K) > 0.001 * np.abs(line.truths)).any() else "exact"
