"""The largest loss in a box by the solver of the sharpness paper."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

ITERATIONS = 10  # as in the paper; more of them find more
HUGE = 1e30  # what the solver sees where the loss is infinite or undefined


def lbfgsb_maximum(loss: Loss, theta_P: Tensor, half_width_P: Tensor, rng: Stream) -> tuple[float, int]:
    """Maximise the loss over |δ| ≤ half_width by ten iterations of L-BFGS-B; also the gradients spent.

    It starts at a random point of the box, since at a minimum there is no slope to follow, and its own
    tests for convergence are off. The solver sees the box as [−1, 1] and the loss in units in which the
    typical slope at the start is 1: its first step is as long as the slope, and at a loss of 1e-4 that
    is nowhere. Its numbers are float64.

    Error: A lower bound of the true maximum, from a single start.

    Source: Keskar et al. 2016 (1609.04836), §2.2.1; the units are ours.
    """
    width = half_width_P.double().cpu().numpy()
    start = 2 * rng.uniform(len(width)) - 1

    def ascent(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = loss.grad(theta_P + half_width_P * torch.from_numpy(z).to(theta_P))
        seen.append(value if math.isfinite(value) else math.inf)
        return min(seen[-1], HUGE), gradient.nan_to_num().double().cpu().numpy() * width

    seen: list[float] = []
    unit = np.abs(ascent(start)[1]).mean() or 1.0

    def descent(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = ascent(z)
        return -value / unit, -gradient / unit

    options = {"maxiter": ITERATIONS, "gtol": 0.0, "ftol": 0.0}
    bounds = Bounds(np.full(len(width), -1.0), np.ones(len(width)))
    minimize(descent, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return max(seen), len(seen)
