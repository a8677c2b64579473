"""How much the loss rises under random noise on the parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

Law = Callable[[Stream, Tensor], Tensor]
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
    """L(θ + spread ∘ z_k) − L(θ) of each draw z_k, nats, (K, 1); with ``mirror`` also at −z_k, (K, 2).

    Args:
        loss: Any loss.
        theta_P: Where the noise is added.
        spread_P: Its standard deviation (Gaussian) or half-width (uniform) per parameter.
        rng: Draw k has a stream of its own, so that more draws leave the first ones alone, and one
            stream gives the same z at every spread.
        draws: Number of draws K.
        law: ``gaussian`` or ``uniform``.
        mirror: Whether each draw is followed by its opposite.
    """
    signs = (1, -1) if mirror else (1,)
    steps = (spread_P * law(rng.child("draw", k), theta_P) for k in range(draws))
    found = loss.many(theta_P + sign * step for step in steps for sign in signs)
    return found.reshape(draws, len(signs)) - loss(theta_P)


def expected_rise(
    loss: Loss, theta_P: Tensor, spread_P: Tensor, rng: Stream, draws: int, law: Law = gaussian
) -> tuple[float, float]:
    """The mean rise over the noise and its standard error, nats, from ``draws`` losses.

    A pair ±z removes what is odd in z from the mean, and spends two losses on what is even. So pairs
    pay exactly where the odd part varies more than the even one: close to θ, where the slope rules.
    A pilot of five pairs on a stream of its own decides, so that the estimate does not depend on the choice.

    Error: ``stderr`` over draws, or over the means of pairs.
    """
    pilot = rises(loss, theta_P, spread_P, rng.child("pilot"), PILOT, law, mirror=True)
    with np.errstate(invalid="ignore"):
        pairs_pay = bool(np.diff(pilot, axis=1).var() > pilot.sum(1).var())
    found = rises(loss, theta_P, spread_P, rng, draws // 2 if pairs_pay else draws, law, mirror=pairs_pay)
    return mean_and_stderr(found.mean(1))


def mean_and_stderr(sample: np.ndarray) -> tuple[float, float]:
    """Mean of independent numbers and its standard error, NaN for a single one.

    >>> mean_and_stderr(np.array([1.0, 3.0]))
    (2.0, 1.0)
    """
    with np.errstate(invalid="ignore"):  # an infinite loss makes both infinite or NaN, which rows say
        spread = float(sample.std(ddof=1)) / math.sqrt(len(sample)) if len(sample) > 1 else math.nan
        return float(sample.mean()), spread
