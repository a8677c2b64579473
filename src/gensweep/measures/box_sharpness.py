"""The largest loss in a box around the solution, in Keskar's and in Neyshabur's unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.box import SPREAD, BoxMaximum, box_maximum
from gensweep.geometry.quasi_newton import lbfgsb_maximum
from gensweep.geometry.risk import Loss, Risk
from gensweep.geometry.solution import Solution
from gensweep.geometry.subspace import Subspace, Within
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class BoxSharpness:
    """max L − L over |δᵢ| ≤ ε(|θᵢ| + 1): ``neyshabur_sharpness`` in nats, ``keskar_sharpness`` in % of 1 + L.

    ``keskar_sharpness_lbfgsb`` is the same number by the paper's own solver, ten iterations of L-BFGS-B
    from one random start: a check on both. ``keskar_sharpness_subspace`` searches θ + A z over
    |zᵢ| ≤ ε(|(A⁺θ)ᵢ| + 1), where A has random unit columns, the same ones for every ε.

    Args:
        epsilon: Half-widths ε, one or several; each stands in ``x``.
        subspace: Columns of A, 100 in the paper; null leaves the subspace out.
        steps: Auto-PGD steps per start.
        starts: Random starts.

    Cost: starts·steps G per ε (100 at the defaults) and the gradients of L-BFGS-B; as many again for the
    subspace. ``evaluations`` counts them.

    Error: Lower bounds. ``stderr`` is the standard deviation over the starts, ``start_spread`` the
    range in the whole space; a range above 5 % of the rise is ``not_converged``. L-BFGS-B has one start,
    so its error is unknown (NaN). Another A gives another subspace number.

    Invariance: None: rescaling a layer or a neuron that keeps the function changes the box, and with it
    the number. Permutation of hidden units keeps the maximum, and changes the random starts.

    Trust: Not between nets trained to different losses or with weights of different size. A wide spread
    over starts means a rough landscape, where 20 steps may miss the maximum.

    Source: Keskar et al. 2016 (1609.04836), metric 2.1; Neyshabur et al. 2017 (1706.08947), §3.

    Example: ``BoxSharpness(epsilon=1e-3)``
    """

    epsilon: Sequence[float] | float = (5e-4, 1e-3)
    subspace: int | None = None
    steps: int = 20
    starts: int = 5

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        yield from self.search(Risk(solution, data.train, data), solution.theta_P, rng)

    def search(self, loss: Loss, theta_P: Tensor, rng: Stream) -> Iterator[Row]:
        """The measure for any loss, so that a test can put a quadratic where the network goes."""
        base = loss(theta_P)
        for epsilon in np.atleast_1d(self.epsilon).tolist():
            half_width_P = epsilon * (theta_P.abs() + 1)
            stream = rng.child(repr(epsilon))
            found = box_maximum(loss, theta_P, half_width_P, stream, self.steps, self.starts)
            yield from in_both_units(found, base, epsilon)
            yield from by_lbfgsb(loss, theta_P, half_width_P, stream.child("lbfgsb"), base, epsilon)
        if self.subspace is not None:
            yield from self.search_subspace(loss, theta_P, rng.child("subspace"), base)

    def search_subspace(self, loss: Loss, theta_P: Tensor, rng: Stream, base: float) -> Iterator[Row]:
        """Metric 2.1 with a random A."""
        if len(theta_P) < (self.subspace or 0):
            reason = f"the network has {len(theta_P)} parameters, fewer than the subspace has columns"
            for epsilon in np.atleast_1d(self.epsilon).tolist():
                yield not_applicable("keskar_sharpness_subspace", reason, split="train", x=epsilon)
            return
        subspace = Subspace(theta_P, self.subspace or 0, rng)
        within, place_D = Within(loss, theta_P, subspace), subspace.coordinates(theta_P)
        for epsilon in np.atleast_1d(self.epsilon).tolist():
            half_width_D = epsilon * (place_D.abs() + 1)
            centre_D = torch.zeros_like(half_width_D)
            found = box_maximum(
                within, centre_D, half_width_D, rng.child(repr(epsilon)), self.steps, self.starts
            )
            rise, sd, _, flag = agreement(found, base)
            unit = 100 / (1 + base)
            yield Row("keskar_sharpness_subspace", unit * rise, unit * sd, split="train", x=epsilon, **flag)
            yield Row("evaluations_subspace", found.evaluations, split="train", x=epsilon)


def by_lbfgsb(
    loss: Loss, theta_P: Tensor, half_width_P: Tensor, rng: Stream, base: float, epsilon: float
) -> Iterator[Row]:
    """Keskar's number by Keskar's solver."""
    highest, evaluations = lbfgsb_maximum(loss, theta_P, half_width_P, rng)
    percent = 100 * max(highest - base, 0.0) / (1 + base)
    yield Row("keskar_sharpness_lbfgsb", percent, math.nan, split="train", x=epsilon)
    yield Row("evaluations_lbfgsb", evaluations, split="train", x=epsilon)


def agreement(found: BoxMaximum, base: float) -> tuple[float, float, float, dict[str, Any]]:
    """Largest rise, standard deviation and range over the starts, and the status that these make."""
    rise = max(found.losses.max() - base, 0.0)
    with np.errstate(invalid="ignore"):  # infinite losses; their rows say so
        spread = float(np.ptp(found.losses))
        sd = float(found.losses.std(ddof=1)) if len(found.losses) > 1 else math.nan
    flag: dict[str, Any] = {}
    if spread > SPREAD * rise:
        flag = {"status": "not_converged", "reason": f"the starts differ by {spread:.3g} nats"}
    return rise, sd, spread, flag


def in_both_units(found: BoxMaximum, base: float, epsilon: float) -> Iterator[Row]:
    """The rows of one box."""
    rise, sd, spread, flag = agreement(found, base)
    place: dict[str, Any] = {"split": "train", "x": epsilon}
    yield Row("neyshabur_sharpness", rise, sd, **place, **flag)
    yield Row("keskar_sharpness", 100 * rise / (1 + base), 100 * sd / (1 + base), **place, **flag)
    yield Row("start_spread", spread, **place)
    yield Row("at_bound", found.at_bound, **place)
    yield Row("evaluations", found.evaluations, **place)
