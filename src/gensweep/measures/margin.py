"""Quantiles of the training margins."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gensweep.data.base import Data
from gensweep.geometry.margin import margins, order_quantile, order_quantile_stderr
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class Margin:
    """``margin_p05``, the 5th percentile of f(x)[y] − max_{k≠y} f(x)[k], and a ``margin_quantile`` per q.

    With a confusion set there is a ``margin_p05`` more, of the split ``clean``: train and confusion set
    together, by their own labels, which is what training saw.

    Args:
        quantiles: Which q, in [0, 1]; q stands in ``x``.

    Cost: 1 F.

    Error: ``stderr`` by resampling the examples; unknown (NaN) for the smallest and the largest margin.

    Invariance: Any change of the weights that keeps the function; it scales with the logits, so training
    longer enlarges it.

    Trust: Not by itself across networks whose logits differ in size: compare it over a norm, as `Norms`
    and `PathNorms` do.

    Source: Neyshabur et al. 2017 (1706.08947), §2.

    Example: ``Margin(quantiles=(0.0, 0.05, 0.5))``
    """

    quantiles: Sequence[float] = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        found = margins(risk.logits(solution.theta_P), risk.y)
        error = order_quantile_stderr(found, 0.05, rng)
        yield Row("margin_p05", order_quantile(found, 0.05), error, "train")
        yield from self.union(solution, data, found, rng)
        for q in self.quantiles:
            error = order_quantile_stderr(found, q, rng)
            yield Row("margin_quantile", order_quantile(found, q), error, "train", x=q)

    def union(self, solution: Solution, data: Data, train_N: np.ndarray, rng: Stream) -> Iterator[Row]:
        """The 5th percentile over train and confusion set, when there is one."""
        if not len(data.confusion):
            return
        risk = Risk(solution, data.confusion, data)
        found = np.concatenate([train_N, margins(risk.logits(solution.theta_P), risk.y)])
        error = order_quantile_stderr(found, 0.05, rng.child("clean"))
        yield Row("margin_p05", order_quantile(found, 0.05), error, "clean")


def training_margin(solution: Solution, data: Data, rng: Stream) -> tuple[float, float]:
    """γ, the 5th percentile of the training margins, and its standard error, in logits."""
    risk = Risk(solution, data.train, data)
    found = margins(risk.logits(solution.theta_P), risk.y)
    return order_quantile(found, 0.05), order_quantile_stderr(found, 0.05, rng)


def over_margin_squared(quantity: str, log10: float, gamma: float, gamma_stderr: float) -> Row:
    """The row of log10 (value/γ²), which does not exist where γ ≤ 0."""
    if gamma <= 0:
        reason = f"the 5th percentile of the training margins is {gamma:.3g}, not positive"
        return not_applicable(quantity, reason, split="train")
    stderr = 2 * gamma_stderr / (gamma * math.log(10))
    return logarithm(quantity, log10 - 2 * math.log10(gamma), stderr, "train")


def logarithm(quantity: str, log10: float, stderr: float = 0.0, split: str = "") -> Row:
    """The row of a logarithm, which says so when it is one of zero."""
    if log10 == -math.inf:
        return Row(quantity, log10, stderr, split, status="nonfinite", reason="the logarithm of zero")
    return Row(quantity, log10, stderr, split)
