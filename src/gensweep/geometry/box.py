"""The largest loss in a box or a ball around a point."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.noise import gaussian, uniform
from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

SPREAD = 0.05  # of the rise: starts that differ by more say that the search has not converged


@dataclass(frozen=True)
class Ball:
    """The ball of radius 1 of a norm, as an ascent sees it.

    Args:
        start: A random point inside.
        steepest: The step of norm 1 that rises most along a gradient.
        project: The nearest point inside.
    """

    start: Callable[[Stream, Tensor], Tensor]
    steepest: Callable[[Tensor], Tensor]
    project: Callable[[Tensor], Tensor]


def _inside(rng: Stream, like_P: Tensor) -> Tensor:
    direction = _unit(gaussian(rng.child("direction"), like_P))
    return direction * rng.child("radius").uniform(1).item() ** (1 / len(like_P))


def _unit(gradient_P: Tensor) -> Tensor:
    norm = gradient_P.double().norm()
    return gradient_P / norm.clamp_min(torch.finfo(gradient_P.dtype).tiny)  # 0/0 in the type of the gradient


def _shrunk(z_P: Tensor) -> Tensor:
    return z_P / z_P.double().norm().clamp_min(1)


BALLS = {
    "linf": Ball(uniform, torch.sign, lambda z_P: z_P.clamp(-1, 1)),
    "l2": Ball(_inside, _unit, _shrunk),
}


@dataclass(frozen=True)
class BoxMaximum:
    """What the ascents found.

    Args:
        losses: Largest loss of each start, nats.
        at_bound: Fraction of the coordinates that stand at the bound of the box in the best point.
        evaluations: Gradients spent in all.
    """

    losses: np.ndarray
    at_bound: float
    evaluations: int


def box_maximum(
    loss: Loss,
    theta_P: Tensor,
    half_width_P: Tensor,
    rng: Stream,
    steps: int,
    starts: int,
    ball: Ball = BALLS["linf"],
) -> BoxMaximum:
    """Maximise the loss over θ + half_width ∘ z, z in the ball, by Auto-PGD from random starts.

    Args:
        loss: Loss and gradient; an infinite or undefined loss counts as the largest.
        theta_P: Centre.
        half_width_P: Half the sides of the box, or semi-axes of the ellipsoid, ≥ 0.
        rng: Each start has a stream of its own.
        steps: Ascent steps per start.
        starts: Number of starts; they differ by far more than further steps would bring.
        ball: Where z may be: |zᵢ| ≤ 1, which makes a box, or ‖z‖ ≤ 1.

    Error: A lower bound of the true maximum; the spread over starts says how far it may be off.

    Source: Croce & Hein 2020 (2003.01690), Algorithm 1, in weight space.
    """

    def climb(start: int) -> tuple[float, Tensor]:
        return _ascend(loss, theta_P, half_width_P, rng.child("start", start), steps, ball)

    found = [climb(s) for s in range(starts)]
    best = max(found, key=lambda pair: pair[0])
    at_bound = (best[1].abs() >= 1 - 1e-6).double().mean().item()
    return BoxMaximum(np.array([value for value, _ in found]), at_bound, starts * (steps + 1))


def _ascend(
    loss: Loss, theta_P: Tensor, half_width_P: Tensor, rng: Stream, steps: int, ball: Ball
) -> tuple[float, Tensor]:
    """One ascent in the coordinates z; returns the best loss and its place."""

    def value_and_uphill(z: Tensor) -> tuple[float, Tensor]:
        value, gradient = loss.grad(theta_P + half_width_P * z)
        uphill = ball.steepest((half_width_P * gradient).nan_to_num())
        return (value if math.isfinite(value) else math.inf), uphill

    z = ball.start(rng, theta_P)
    value, uphill = value_and_uphill(z)
    previous, best, best_z, best_uphill = z, value, z, uphill
    stride, rises, schedule = 2.0, 0, _Schedule(steps)
    for step in range(1, steps + 1):
        ahead = ball.project(z + stride * uphill)
        inertia = 0.75 if step > 1 else 1.0
        following = ball.project(z + inertia * (ahead - z) + (1 - inertia) * (z - previous))
        previous, z, last = z, following, value
        value, uphill = value_and_uphill(z)
        rises += value > last
        if value > best:
            best, best_z, best_uphill = value, z, uphill
        if schedule.halve(step, rises, best):
            stride, z, value, uphill, previous = stride / 2, best_z, best, best_uphill, best_z
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
