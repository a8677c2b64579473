"""How much the loss rises under random noise on the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.combinations import Combinations
from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

Law = Callable[[Stream, Tensor], Tensor]
BLOCK = 2**26  # scalars of draws held at a time
PILOT = 5  # pairs that decide whether pairs pay: 10 losses, a tenth of the usual number of draws


def gaussian(rng: Stream, like_P: Tensor) -> Tensor:
    """Independent standard normal numbers, (P,)."""
    return torch.from_numpy(rng.normal(len(like_P))).to(like_P)


def uniform(rng: Stream, like_P: Tensor) -> Tensor:
    """Independent numbers uniform in [−1, 1), (P,)."""
    return torch.from_numpy(2 * rng.uniform(len(like_P)) - 1).to(like_P)


def rises(
    loss: Loss,
    theta_P: Tensor,
    spread_P: Tensor,
    rng: Stream,
    draws: int,
    law: Law = gaussian,
    mirror: bool = False,
) -> np.ndarray:
    """`rises_at` the scale 1 alone, (K, 1); with ``mirror`` (K, 2)."""
    return rises_at(loss, theta_P, spread_P, (1.0,), rng, draws, law, mirror)[0]


def rises_at(
    loss: Loss,
    theta_P: Tensor,
    spread_P: Tensor,
    scales: Sequence[float],
    rng: Stream,
    draws: int,
    law: Law = gaussian,
    mirror: bool = False,
) -> np.ndarray:
    """L(θ + s·spread ∘ z_k) − L(θ) of each draw z_k, nats, (S, K, 1); with ``mirror`` at −z_k too, (S, K, 2).

    Args:
        loss: Any loss.
        theta_P: Where the noise is added.
        spread_P: Its standard deviation (Gaussian) or half-width (uniform) per parameter, at the scale 1.
        scales: The S scales s.
        rng: Draw k has a stream of its own, so that more draws leave the first ones alone, and one
            stream gives the same z at every scale and spread.
        draws: Number of draws K.
        law: ``gaussian`` or ``uniform``.
        mirror: Whether each draw is followed by its opposite.
    """
    signed = [sign * scale for scale in scales for sign in ((1, -1) if mirror else (1,))]
    block, parts = max(1, BLOCK // len(theta_P)), [np.zeros((0, len(scales), len(signed) // len(scales)))]
    for first in range(0, draws, block):
        here = range(first, min(first + block, draws))
        steps = (spread_P * law(rng.child("draw", k), theta_P) for k in here)
        found = loss.many(_along(theta_P, steps, signed))
        parts.append(found.reshape(len(here), len(scales), -1))
    return np.concatenate(parts).transpose(1, 0, 2) - loss(theta_P)


def _along(theta_P: Tensor, steps: Iterable[Tensor], c_C: Sequence[float]) -> Iterable[Tensor]:
    """θ + c·step for each step and each c; a step that serves several points says so."""
    if len(c_C) == 1:
        return (theta_P + c_C[0] * step_P for step_P in steps)
    vectors_JP = torch.stack([theta_P, *steps])
    rays = range(1, len(vectors_JP))
    c_KT = torch.tensor([[1.0, c] for _ in rays for c in c_C], dtype=torch.float64)
    return Combinations(vectors_JP, c_KT, torch.tensor([[0, j] for j in rays for _ in c_C]))


def expected_rise(
    loss: Loss, theta_P: Tensor, spread_P: Tensor, rng: Stream, draws: int, law: Law = gaussian
) -> tuple[float, float]:
    """`expected_rises` at the scale 1 alone."""
    return expected_rises(loss, theta_P, spread_P, (1.0,), rng, draws, law)[0]


def expected_rises(
    loss: Loss,
    theta_P: Tensor,
    spread_P: Tensor,
    scales: Sequence[float],
    rng: Stream,
    draws: int,
    law: Law = gaussian,
) -> list[tuple[float, float]]:
    """The mean rise over the noise and its standard error at each scale, nats, from ``draws`` losses each.

    A pair ±z removes what is odd in z from the mean, and spends two losses on what is even. So pairs
    pay exactly where the odd part varies more than the even one: close to θ, where the slope rules.
    A pilot of five pairs on a stream of its own decides, so that the estimate does not depend on the choice.

    Error: ``stderr`` over draws, or over the means of pairs.
    """
    pilot_SK2 = rises_at(loss, theta_P, spread_P, scales, rng.child("pilot"), PILOT, law, mirror=True)
    with np.errstate(invalid="ignore"):
        pairs_pay_S = np.diff(pilot_SK2, axis=2).var(axis=(1, 2)) > pilot_SK2.sum(2).var(1)
    found: dict[int, tuple[float, float]] = {}
    for pairs in (True, False):
        chosen = np.flatnonzero(pairs_pay_S == pairs).tolist()
        if chosen:
            count, some = draws // 2 if pairs else draws, [scales[s] for s in chosen]
            sample = rises_at(loss, theta_P, spread_P, some, rng, count, law, mirror=pairs).mean(2)
            found |= {s: mean_and_stderr(row) for s, row in zip(chosen, sample, strict=True)}
    return [found[s] for s in range(len(scales))]


def mean_and_stderr(sample: np.ndarray) -> tuple[float, float]:
    """Mean of independent numbers and its standard error, NaN for a single one.

    >>> mean_and_stderr(np.array([1.0, 3.0]))
    (2.0, 1.0)
    """
    with np.errstate(invalid="ignore"):  # an infinite loss makes both infinite or NaN, which rows say
        spread = float(sample.std(ddof=1)) / math.sqrt(len(sample)) if len(sample) > 1 else math.nan
        return float(sample.mean()), spread
