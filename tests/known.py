"""Problems with an exact answer, to put where the network goes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


class Bowl:
    """L(θ) = base + ½ Σ hᵢ (θᵢ − θ*ᵢ)²: the basin at a cutoff is an ellipsoid of known volume."""

    def __init__(self, curvature: Iterable[float], base: float = 0.0, centre: Tensor | None = None) -> None:
        self.h = torch.tensor(list(curvature), dtype=torch.float64)
        self.base = base
        self.centre = torch.zeros_like(self.h) if centre is None else centre
        self.calls = 0

    def __call__(self, theta_P: Tensor) -> float:
        self.calls += 1
        return self.base + 0.5 * (self.h * (theta_P - self.centre) ** 2).sum().item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        return self(theta_P), self.h * (theta_P - self.centre)

    def semi_axes(self, cutoff: float) -> np.ndarray:
        """Half-lengths of the ellipsoid {L − base ≤ cutoff}."""
        return np.sqrt(2 * cutoff / self.h.numpy())


class Regression:
    """Mean squared error of a linear model: convex, so its maximum over a box stands in a corner."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b

    def __call__(self, theta_P: Tensor) -> float:
        return ((self.a @ theta_P - self.b) ** 2).mean().item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        residual = self.a @ theta_P - self.b
        return (residual**2).mean().item(), 2 * self.a.T @ residual / len(self.b)
