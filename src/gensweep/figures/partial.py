"""Correlations with some variables held fixed, and their bootstrap intervals. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from gensweep.claims.statistic import RESAMPLES, Estimate


def correlation(
    x_N: np.ndarray, y_N: np.ndarray, controls: Sequence[np.ndarray] = (), ranks: bool = True
) -> Estimate:
    """The correlation of x and y, of what the controls leave of both, with its 95 % bootstrap interval.

    Args:
        x_N: One number per run.
        y_N: Another.
        controls: Variables, (N,) each, whose linear part is taken out of both first.
        ranks: Spearman's, of the ranks of all variables; false for Pearson's.

    Error: Percentile bootstrap over the runs. NaN where one side is constant, or all explained.

    Source: Fisher 1924, The distribution of the partial correlation coefficient; here by residuals.

    >>> z = np.arange(5.0)
    >>> x = np.array([0.2, -0.1, -0.1, -0.1, 0.1])
    >>> correlation(z + x, x - z, [z], ranks=False).value
    1.0
    """
    every_VN = np.array([x_N, y_N, *controls], dtype=float)
    every_VN = every_VN[:, np.isfinite(every_VN).all(0)]
    every_VN = every_VN[:, np.lexsort(every_VN[::-1])]  # the runs count, not their order in a table
    n = every_VN.shape[1]
    if n < len(every_VN) + 2:
        return Estimate(np.nan, np.nan, np.nan, n)
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    value = _partial(every_VN[:, None], ranks)[0]
    resampled = _partial(every_VN[:, drawn], ranks)
    if np.isnan(value) or np.isnan(resampled).all():
        return Estimate(np.nan, np.nan, np.nan, n)
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    middle, low, high = (round(float(v), 9) + 0.0 for v in (value, low, high))
    return Estimate(middle, low, high, n)


def _partial(v_VBN: np.ndarray, ranks: bool) -> np.ndarray:
    """Of each of B samples the partial correlation of the first two variables given the others."""
    v_VBN = rankdata(v_VBN, axis=2) if ranks else v_VBN
    centred = v_VBN - v_VBN.mean(2, keepdims=True)
    scale = np.sqrt((centred**2).sum(2, keepdims=True))
    unit = np.divide(centred, scale, out=np.zeros_like(centred), where=scale > 1e-12 * np.abs(v_VBN).max())
    a, b, *rest = unit
    for k, z in enumerate(rest):  # Gram–Schmidt, one control after the other
        z = _unit(z)
        a, b, rest[k + 1 :] = _without(a, z), _without(b, z), [_without(r, z) for r in rest[k + 1 :]]
    a, b = _unit(a), _unit(b)
    gone = ~(a.any(1) & b.any(1))
    return np.where(gone, np.nan, np.clip((a * b).sum(1), -1, 1))


def _without(v_BN: np.ndarray, unit_BN: np.ndarray) -> np.ndarray:
    return v_BN - (v_BN * unit_BN).sum(1, keepdims=True) * unit_BN


def _unit(v_BN: np.ndarray) -> np.ndarray:
    """Of length 1; nothing where rounding is all that is left."""
    length = np.sqrt((v_BN**2).sum(1, keepdims=True))
    return np.divide(v_BN, length, out=np.zeros_like(v_BN), where=length > 1e-9)
