"""Norms of the weights, and their products over the margin."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.margin import margins, order_quantile, order_quantile_stderr
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class Norms:
    """``log10_l2`` and ``log10_spectral``, with the norm of each layer and of the whole vector.

    log10 ∏‖Wᵢ‖²/γ² with the Frobenius and the spectral norm, γ the 5th percentile of the training
    margins; undefined where γ ≤ 0. Layers are the tensors with more than one dimension, reshaped to
    (out, rest). ``l2_norm`` is ‖θ*‖, ``l2_distance`` ‖θ* − θ₀‖, over all parameters.

    Error: Norms are exact; the products carry the sampling error of γ.

    Source: Neyshabur et al. 2017 (1706.08947), §2; depth and width factors dropped as in their figures.
    """

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        yield Row("l2_norm", solution.theta_P.double().norm().item())
        yield Row("l2_distance", (solution.theta_P.double() - solution.init_P.double()).norm().item())
        layers = layer_matrices(solution)
        frobenius = [w.norm().item() for w in layers]
        spectral = [torch.linalg.matrix_norm(w, 2).item() for w in layers]
        for quantity, norms in (("layer_frobenius", frobenius), ("layer_spectral", spectral)):
            for i, norm in enumerate(norms):
                yield Row(quantity, norm, index=i)
        risk = Risk(solution, data.train, data)
        found = margins(risk.logits(solution.theta_P), risk.y)
        gamma, error = order_quantile(found, 0.05), order_quantile_stderr(found, 0.05, rng)
        yield over_margin("log10_l2", frobenius, gamma, error)
        yield over_margin("log10_spectral", spectral, gamma, error)


def layer_matrices(solution: Solution) -> list[Tensor]:
    """Every weight tensor as a float64 matrix (out, rest), in the order of the parameters."""
    parts = solution.layout.unpack(solution.theta_P).values()
    return [w.double().flatten(1) for w in parts if w.dim() > 1]


def over_margin(quantity: str, norms: list[float], gamma: float, gamma_stderr: float) -> Row:
    """log10 of ∏norm²/γ², in log space since the product overflows."""
    if gamma <= 0:
        reason = f"the 5th percentile of the training margins is {gamma:.3g}, not positive"
        return not_applicable(quantity, reason, split="train")
    total = 2 * sum(math.log10(norm) if norm > 0 else -math.inf for norm in norms)
    stderr = 2 * gamma_stderr / (gamma * math.log(10))
    return Row(quantity, total - 2 * math.log10(gamma), stderr, "train")
