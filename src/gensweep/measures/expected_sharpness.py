"""How much the training loss rises on average under noise, and how much noise the accuracy bears."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.noise import expected_rises
from gensweep.geometry.risk import Loss, Risk
from gensweep.geometry.solution import Solution
from gensweep.geometry.tolerance import ACCURACY_DROP, Accuracies, middle, tolerated_noise
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

RISE = 0.05  # nats: where the paper's text and figures compare networks


@dataclass(frozen=True)
class ExpectedSharpness:
    """``expected_sharpness`` and ``kl`` by noise scale α, and ``pac_bayes_sigma``.

    With independent Gaussian noise ν of standard deviation σᵢ = α(10|θᵢ| + 1) on every trainable
    parameter, ``expected_sharpness`` is E[L(θ+ν)] − L(θ) on the training set, and ``kl`` = Σ θᵢ²/(2σᵢ²)
    the divergence of that posterior from a prior of the same widths at 0. ``kl_at_sharpness`` is the KL
    where the expected sharpness is 0.05 nats, between two scales on a line in both logarithms.

    ``pac_bayes_sigma`` is the largest σ such that noise of standard deviation σ on every parameter
    lowers the training accuracy by at most 0.1 on average: the middle of the certified interval from
    ``pac_bayes_sigma_low`` to ``pac_bayes_sigma_high``.

    Args:
        scales: Noise scales α, geometric; each stands in ``x``. They share their draws.
        draws: Losses per scale; as ± pairs where those pay (`expected_rises`).
        tolerated: Whether to search for σ too, which costs more than all the rest.

    Cost: draws F per scale, and the accuracies of the search for σ, which ``evaluations`` counts.

    Error: ``expected_sharpness`` has its ``stderr`` over draws; ``kl`` is exact; ``kl_at_sharpness`` carries
    the error of the rises beside it, and what a line between two scales leaves out. ``stderr`` of
    ``pac_bayes_sigma`` is half the interval; one that noise kept wider than 10 % is ``not_converged``. The
    drop is taken to grow with σ. ``censored``: the accuracy never drops that far.

    Invariance: None under rescaling of layers or neurons. Permutation of hidden units changes the draws
    only.

    Trust: Not across nets with weights of different size. At small α the kinks of ReLU count, and the
    number exceeds ½ tr(HΣ) of the Hessian H.

    Source: Neyshabur et al. 2017 (1706.08947), §3 and eq. (5), with ½ and the square; Jiang et al. 2019
    (1912.02178) for σ, which here is a standard deviation and not a variance.

    Example: ``ExpectedSharpness(scales=(0.001, 0.01), draws=50)``
    """

    scales: Sequence[float] = (0.001, 0.0018, 0.0032, 0.0056, 0.01, 0.018, 0.032, 0.056, 0.1)
    draws: int = 100
    tolerated: bool = True

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        yield from self.curve(risk, solution.theta_P, rng)
        if self.tolerated:
            yield from tolerated(risk.accuracies, solution.theta_P, rng.child("sigma"))

    def curve(self, loss: Loss, theta_P: Tensor, rng: Stream) -> Iterator[Row]:
        """Both axes of the curve over α, for any loss, so that a test can put a bowl there."""
        passed, scales, unit_P = [], sorted(self.scales), 10 * theta_P.abs() + 1
        found = expected_rises(loss, theta_P, unit_P, scales, rng, self.draws)
        for scale, (rise, stderr) in zip(scales, found, strict=True):
            kl = (theta_P.double() / (scale * unit_P).double()).square().sum().item() / 2
            passed.append((rise, stderr, kl))
            yield Row("expected_sharpness", rise, stderr, split="train", x=scale)
            yield Row("kl", kl, x=scale)
        yield where_it_rises(passed)


def where_it_rises(passed: Sequence[tuple[float, float, float]]) -> Row:
    """The KL at which the expected sharpness is `RISE`.

    Args:
        passed: Rise, its standard error and KL of each scale, the smallest scale first.

    Error: From the rise on either side, whichever is worse known; a bound where the scales do not reach it.
    """
    for (low, error, wide), (high, other, narrow) in pairwise(passed):
        if 0 < low <= RISE <= high < math.inf and narrow > 0:
            slope = math.log(narrow / wide) / math.log(high / low) if high > low else 0.0
            kl = wide * (RISE / low) ** slope
            return Row(
                "kl_at_sharpness", kl, abs(kl * slope) * max(error / low, other / high), "train", x=RISE
            )
    below = [kl for rise, _, kl in passed if rise <= RISE]
    reason = f"at these scales the expected sharpness is never {RISE:g} nats: " + (
        "an upper bound" if below else "a lower bound"
    )
    kl = below[-1] if below else passed[0][2]
    return Row("kl_at_sharpness", kl, math.nan, "train", x=RISE, status="censored", reason=reason)


def tolerated(accuracies: Accuracies, theta_P: Tensor, rng: Stream) -> Iterator[Row]:
    """The largest σ that costs at most a tenth of the examples, for any accuracy."""
    (base,) = accuracies([theta_P])
    names = ("pac_bayes_sigma", "pac_bayes_sigma_low", "pac_bayes_sigma_high")
    if base <= ACCURACY_DROP:
        for name in names:
            yield not_applicable(
                name, f"the accuracy, {base:.3g}, cannot drop by {ACCURACY_DROP}", split="train"
            )
        return
    found = tolerated_noise(accuracies, theta_P, lambda sigma: sigma * torch.ones_like(theta_P), rng)
    value, stderr, flag = middle(found, "σ")
    high = found.high if math.isfinite(found.high) else math.nan
    for name, number, error in zip(names, (value, found.low, high), (stderr, 0.0, 0.0), strict=True):
        yield Row(name, number, error, split="train", **flag)
    yield Row("evaluations", found.evaluations, split="train")
