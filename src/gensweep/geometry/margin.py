"""By how much the right class wins."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from gensweep.rng import Stream

RESAMPLES = 200


def margins(logits_NC: Tensor, y_N: Tensor) -> np.ndarray:
    """Output of the true class minus the largest other output, float64 (N,), in logits.

    >>> import torch
    >>> margins(torch.tensor([[3.0, 1.0, 0.0]]), torch.tensor([0])).tolist()
    [2.0]
    """
    logits = logits_NC.double()
    own = logits.gather(1, y_N[:, None])[:, 0]
    others = logits.scatter(1, y_N[:, None], -math.inf).amax(1)
    return (own - others).cpu().numpy()


def order_quantile(values: np.ndarray, q: float) -> float:
    """The smallest value with ⌈qN⌉ values below it; the largest one for q = 1.

    Source: Neyshabur et al. 2017 (1706.08947), the definition of γ_margin.

    >>> order_quantile(np.arange(1, 101), 0.05)
    6.0
    """
    rank = min(math.ceil(round(q * len(values), 9)), len(values) - 1)
    return float(np.sort(values)[rank])


def order_quantile_stderr(values: np.ndarray, q: float, rng: Stream) -> float:
    """Standard error of `order_quantile` by resampling the examples.

    NaN for the smallest and the largest value: no resampling shows one beyond them.
    """
    n = len(values)
    rank = min(math.ceil(round(q * n, 9)), n - 1)
    if rank in (0, n - 1):
        return math.nan
    drawn = values[rng.integers(n, RESAMPLES * n).reshape(RESAMPLES, n)]
    return float(np.partition(drawn, rank, axis=1)[:, rank].std(ddof=1))
