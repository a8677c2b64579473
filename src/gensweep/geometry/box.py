"""The largest loss in a box around a point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.risk import Loss
from gensweep.rng import Stream


@dataclass(frozen=True)
class BoxMaximum:
    """What the ascents found.

    Args:
        losses: Largest loss of each start, nats.
        at_bound: Fraction of the coordinates that stand at the bound in the best point.
        evaluations: Gradients spent in all.
    """

    losses: np.ndarray
    at_bound: float
    evaluations: int


def box_maximum(
    loss: Loss, theta_P: Tensor, half_width_P: Tensor, rng: Stream, steps: int, starts: int
) -> BoxMaximum:
    """Maximise the loss over |δ| ≤ half_width by Auto-PGD from random starts.

    Args:
        loss: Loss and gradient; an infinite or undefined loss counts as the largest.
        theta_P: Centre of the box.
        half_width_P: Half its sides, > 0.
        rng: Each start has a stream of its own.
        steps: Ascent steps per start.
        starts: Number of starts; they differ by far more than further steps would bring.

    Error: A lower bound of the true maximum; the spread over starts says how far it may be off.

    Source: Croce & Hein 2020 (2003.01690), Algorithm 1, in weight space.
    """
    found = [_ascend(loss, theta_P, half_width_P, rng.child("start", s), steps) for s in range(starts)]
    best = max(found, key=lambda pair: pair[0])
    at_bound = (best[1].abs() >= 1 - 1e-6).double().mean().item()
    return BoxMaximum(np.array([value for value, _ in found]), at_bound, starts * (steps + 1))


def _ascend(
    loss: Loss, theta_P: Tensor, half_width_P: Tensor, rng: Stream, steps: int
) -> tuple[float, Tensor]:
    """One ascent in box coordinates z ∈ [−1, 1]; returns the best loss and its place."""

    def value_and_sign(z: Tensor) -> tuple[float, Tensor]:
        value, gradient = loss.grad(theta_P + half_width_P * z)
        return (value if math.isfinite(value) else math.inf), gradient.nan_to_num().sign()

    z = torch.from_numpy(2 * rng.uniform(len(theta_P)) - 1).to(theta_P)
    value, sign = value_and_sign(z)
    previous, best, best_z, best_sign = z, value, z, sign
    stride, rises, schedule = 2.0, 0, _Schedule(steps)
    for step in range(1, steps + 1):
        ahead = (z + stride * sign).clamp(-1, 1)
        inertia = 0.75 if step > 1 else 1.0
        following = (z + inertia * (ahead - z) + (1 - inertia) * (z - previous)).clamp(-1, 1)
        previous, z, last = z, following, value
        value, sign = value_and_sign(z)
        rises += value > last
        if value > best:
            best, best_z, best_sign = value, z, sign
        if schedule.halve(step, rises, best):
            stride, z, value, sign, previous = stride / 2, best_z, best, best_sign, best_z
        if step in schedule.checkpoints:
            rises = 0
    return best, best_z


class _Schedule:
    """When the stride is halved: too few steps rose, or nothing was gained since the last checkpoint."""

    def __init__(self, steps: int) -> None:
        fractions = [0.0, 0.22]
        while fractions[-1] < 1:
            fractions.append(fractions[-1] + max(fractions[-1] - fractions[-2] - 0.03, 0.06))
        self.checkpoints = [math.ceil(f * steps) for f in fractions[1:] if f < 1]
        self.last_step, self.last_best, self.halved = 0, -math.inf, False

    def halve(self, step: int, rises: int, best: float) -> bool:
        """Whether to halve after this step."""
        if step not in self.checkpoints:
            return False
        few = rises < 0.75 * (step - self.last_step)
        stuck = not self.halved and best == self.last_best
        self.last_step, self.last_best, self.halved = step, best, few or stuck
        return self.halved
