"""A statistic over runs, with its 95 % bootstrap interval. No torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import norm, rankdata, t

RESAMPLES = 2000
CELLS = 500_000  # pairs of units that are compared at a time
LEAST = 3  # units; two have no spread worth the name
FISHER = {"spearman": 5, "kendall": 6}  # units below which a rank correlation says nothing


class Estimate(NamedTuple):
    """A statistic and the bounds of its 95 % interval over n units; NaN where it is not defined."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As in a table."""
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}], n = {self.n}".replace("-", "−")


def estimate(name: str, y_N: np.ndarray, x_N: np.ndarray | None = None, groups_N=None) -> Estimate:
    """A statistic of units and its interval.

    The units are resampled with replacement, within each group where there are any; the statistic of groups
    is the mean of theirs. Of few units a bootstrap makes the interval of a mean or median too short: it is
    stretched as Student's t is against the normal. Points on a rising line stay there however they are drawn:
    the interval of a correlation holds Fisher's too. A share of 0 or 1 has none at all: it has Wilson's.

    Args:
        name: ``mean``, ``median``, ``share`` (of y > 0), ``spearman`` or ``kendall``.
        y_N: One number per unit; those that are not finite are left out.
        x_N: The other side of a correlation.
        groups_N: Of each unit, the group within which it counts.

    Source: Hesterberg 2015 (1411.5279), §5.3, for the stretch; Bonett and Wright 2000 for the correlations;
        Wilson 1927 for the share.

    >>> estimate("mean", np.array([1.0, 2.0, 3.0])).value
    2.0
    """
    x_N = np.zeros(len(y_N)) if x_N is None else np.asarray(x_N, dtype=float)
    y_N = np.asarray(y_N, dtype=float)
    groups_N = np.zeros(len(y_N)) if groups_N is None else np.asarray(groups_N)
    finite = np.isfinite(x_N) & np.isfinite(y_N)
    order = np.lexsort((y_N[finite], x_N[finite]))  # the units count, not the order in which a table has them
    x_N, y_N, groups_N = (v[finite][order] for v in (x_N, y_N, groups_N))
    n = len(y_N)
    if n < LEAST:
        return Estimate(np.nan, np.nan, np.nan, n)
    if name == "share":
        return wilson(int((y_N > 0).sum()), n)
    members = [np.flatnonzero(groups_N == g) for g in np.unique(groups_N)]
    of = STATISTICS[name]
    value = _over(of, members, x_N, y_N)
    rng = np.random.default_rng(0)
    drawn = [m[rng.integers(len(m), size=(RESAMPLES, len(m)))] for m in members]
    resampled = _over(of, drawn, x_N, y_N)
    if np.isnan(value).all() or np.isnan(resampled).all():
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = (float(bound) for bound in np.nanquantile(resampled, [0.025, 0.975]))
    middle = float(value[0])
    if name in FISHER:
        least, most = fisher(name, middle, n)
        low, high = min(low, least), max(high, most)
    else:
        low, high = (middle + stretched(n) * (bound - middle) for bound in (low, high))
    return Estimate(round(middle, 12), round(low, 12), round(high, 12), n)  # sums of floats end in noise


def stretched(n: int) -> float:
    """How much longer than a bootstrap's the interval of a mean of n units has to be.

    >>> round(stretched(5), 2), round(stretched(1000), 2)
    (1.58, 1.0)
    """
    return float(np.sqrt(n / (n - 1)) * t.ppf(0.975, n - 1) / norm.ppf(0.975))


def fisher(name: str, value: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a rank correlation by Fisher's z; one of ±1 counts as 1/n less.

    >>> low, high = fisher("spearman", 1.0, 9)
    >>> round(low, 2), fisher("spearman", 1.0, 4)
    (0.41, (-1.0, 1.0))
    """
    variance = {"spearman": (1 + value**2 / 2) / max(n - 3, 1), "kendall": 0.437 / max(n - 4, 1)}[name]
    if n < FISHER[name]:
        return -1.0, 1.0
    z = np.arctanh(np.clip(value, 1 / n - 1, 1 - 1 / n))
    half = norm.ppf(0.975) * np.sqrt(variance)
    return float(np.tanh(z - half)), float(np.tanh(z + half))


def wilson(count: int, n: int) -> Estimate:
    """Wilson's interval of a share.

    >>> str(wilson(4, 4))
    '1 [0.51, 1], n = 4'
    """
    z2 = norm.ppf(0.975) ** 2
    middle = (count + z2 / 2) / (n + z2)
    half = np.sqrt(z2) / (n + z2) * np.sqrt(count * (n - count) / n + z2 / 4)
    return Estimate(count / n, float(middle - half), float(min(middle + half, 1.0)), n)


def _over(of: Callable[..., np.ndarray], drawn: list[np.ndarray], x_N, y_N) -> np.ndarray:
    """The mean of the groups' statistics, (B,); a group without one is left out, NaN where none has one."""
    found = np.array([of(np.atleast_2d(x_N[i]), np.atleast_2d(y_N[i])) for i in drawn])
    there = np.isfinite(found)
    total = np.where(there, found, 0).sum(0)
    return np.divide(total, there.sum(0), out=np.full(total.shape, np.nan), where=there.any(0))


def spearman(x_BN: np.ndarray, y_BN: np.ndarray) -> np.ndarray:
    """ρ of each row; NaN where one side is constant.

    >>> spearman(np.array([[1, 2, 3]]), np.array([[1, 8, 27]]))
    array([1.])
    """
    a, b = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (x_BN, y_BN))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def kendall(x_BN: np.ndarray, y_BN: np.ndarray) -> np.ndarray:
    """Kendall's τ-b of each row; NaN where one side is constant.

    >>> kendall(np.array([[1, 2, 3]]), np.array([[1, 3, 2]])).round(3)
    array([0.333])
    """
    rows = max(1, CELLS // x_BN.shape[1] ** 2)
    parts = range(0, len(x_BN), rows)  # all at once would hold B·N² signs
    return np.concatenate([_tau(x_BN[k : k + rows], y_BN[k : k + rows]) for k in parts])


def _tau(x_BN: np.ndarray, y_BN: np.ndarray) -> np.ndarray:
    a, b = (np.sign(v[:, :, None] - v[:, None, :]).reshape(len(v), -1) for v in (x_BN, y_BN))
    scale = np.sqrt((a != 0).sum(1) * (b != 0).sum(1))
    return np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0)


STATISTICS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": lambda x_BN, y_BN: y_BN.mean(1),
    "median": lambda x_BN, y_BN: np.median(y_BN, 1),
    "share": lambda x_BN, y_BN: (y_BN > 0).mean(1),
    "spearman": spearman,
    "kendall": kendall,
}
