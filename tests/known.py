"""Problems with an exact answer, to put where the network goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor, nn

from gensweep.geometry.fold import BATCH_NORMS


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

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda v_P: self.h * v_P

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

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda v_P: 2 * self.a.T @ (self.a @ v_P) / len(self.b)


class Matrix:
    """L(θ) = base + ½ θᵀHθ for any symmetric H, with all its eigenvalues known to `torch.linalg.eigvalsh`."""

    def __init__(self, hessian_PP: Tensor, base: float = 0.0) -> None:
        self.hessian, self.base = hessian_PP, base
        self.centre = torch.zeros(len(hessian_PP), dtype=torch.float64)

    def __call__(self, theta_P: Tensor) -> float:
        return self.base + 0.5 * (theta_P @ self.hessian @ theta_P).item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        return self(theta_P), self.hessian @ theta_P

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda v_P: self.hessian @ v_P


def with_spectrum(values: Iterable[float], seed: int = 0) -> Matrix:
    """A bowl with these eigenvalues, turned at random so that no axis is special."""
    h = torch.tensor(list(values), dtype=torch.float64)
    draws = np.random.Generator(np.random.Philox(seed)).standard_normal((len(h), len(h)))
    q = torch.linalg.qr(torch.from_numpy(draws)).Q
    hessian = (q * h) @ q.T
    return Matrix((hessian + hessian.T) / 2)


def lived_in(model: nn.Module) -> nn.Module:
    """The model with statistics and affine parameters as after training, in float64 and eval mode."""
    torch.manual_seed(1)
    for norm in model.modules():
        if isinstance(norm, BATCH_NORMS):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.3, 3)
            if norm.affine:
                nn.init.normal_(norm.weight)
                nn.init.normal_(norm.bias)
    return model.double().eval().requires_grad_(False)
