"""The largest loss in a box by the solver of the sharpness paper."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

ITERATIONS = 10  # as in the paper; more of them find more
HUGE = 1e30  # what the solver sees where the loss is infinite or undefined


def lbfgsb_maximum(loss: Loss, theta_P: Tensor, half_width_P: Tensor, rng: Stream) -> tuple[float, int]:
    """Maximise the loss over |δ| ≤ half_width by ten iterations of L-BFGS-B; also the gradients spent.

    It starts at a random point of the box, since at a minimum there is no slope to follow, and its own
    tests for convergence are off. δ is float64 on SciPy's side.

    Error: A lower bound of the true maximum, from a single start.

    Source: Keskar et al. 2016 (1609.04836), §2.2.1.
    """
    width = half_width_P.double().cpu().numpy()
    seen: list[float] = []

    def descent(delta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = loss.grad(theta_P + torch.from_numpy(delta).to(theta_P))
        seen.append(value if math.isfinite(value) else math.inf)
        return -min(seen[-1], HUGE), -gradient.nan_to_num().double().cpu().numpy()

    start = (2 * rng.uniform(len(width)) - 1) * width
    options = {"maxiter": ITERATIONS, "gtol": 0.0, "ftol": 0.0}
    minimize(
        descent, start, jac=True, method="L-BFGS-B", bounds=np.stack([-width, width], 1), options=options
    )
    return max(seen), len(seen)
