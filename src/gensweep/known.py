"""Problems with an exact answer, to put where the network goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from scipy.fft import dct, idct
from torch import Tensor, nn

from gensweep.geometry.fold import BATCH_NORMS
from gensweep.models.build import drawn
from gensweep.rng import Stream


class Bowl:
    """L(θ) = base + ½ Σ hᵢ (θᵢ − θ*ᵢ)²: the basin at a cutoff is an ellipsoid of known volume."""

    def __init__(self, curvature: Iterable[float], base: float = 0.0, centre: Tensor | None = None) -> None:
        self.h = torch.tensor(list(curvature), dtype=torch.float64)
        self.base = base
        self.centre = torch.zeros_like(self.h) if centre is None else centre
        self.calls = 0

    def __call__(self, theta_P: Tensor) -> float:
        """The loss at one point."""
        self.calls += 1
        return self.base + 0.5 * (self.h * (theta_P - self.centre) ** 2).sum().item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient (P,)."""
        return self(theta_P), self.h * (theta_P - self.centre)

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        """The product of the Hessian with any vector."""
        return lambda v_P: self.h * v_P

    def semi_axes(self, cutoff: float) -> np.ndarray:
        """Half-lengths of the ellipsoid {L − base ≤ cutoff}."""
        return np.sqrt(2 * cutoff / self.h.numpy())


class Bowls(Bowl):
    """The same loss, at many points in one go."""

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        theta_KP = torch.stack(list(thetas))
        self.calls += len(theta_KP)
        return (self.base + 0.5 * (theta_KP - self.centre).square() @ self.h).numpy()


class Regression:
    """Mean squared error of a linear model: convex, so its maximum over a box stands in a corner."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b

    def __call__(self, theta_P: Tensor) -> float:
        """The loss at one point."""
        return ((self.a @ theta_P - self.b) ** 2).mean().item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient (P,)."""
        residual = self.a @ theta_P - self.b
        return (residual**2).mean().item(), 2 * self.a.T @ residual / len(self.b)

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        """The product of the Hessian with any vector."""
        return lambda v_P: 2 * self.a.T @ (self.a @ v_P) / len(self.b)


class Matrix:
    """L(θ) = base + ½ θᵀHθ for any symmetric H, with all its eigenvalues known to `torch.linalg.eigvalsh`."""

    def __init__(self, hessian_PP: Tensor, base: float = 0.0) -> None:
        self.hessian, self.base = hessian_PP, base
        self.centre = torch.zeros(len(hessian_PP), dtype=torch.float64)

    def __call__(self, theta_P: Tensor) -> float:
        """The loss at one point."""
        return self.base + 0.5 * (theta_P @ self.hessian @ theta_P).item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient (P,)."""
        return self(theta_P), self.hessian @ theta_P

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        """The product of the Hessian with any vector."""
        return lambda v_P: self.hessian @ v_P


def with_spectrum(values: Iterable[float], seed: int = 0) -> Matrix:
    """A bowl with these eigenvalues, turned at random so that no axis is special."""
    h = torch.tensor(list(values), dtype=torch.float64)
    draws = np.random.Generator(np.random.Philox(seed)).standard_normal((len(h), len(h)))
    q = torch.linalg.qr(torch.from_numpy(draws)).Q
    hessian = (q * h) @ q.T
    return Matrix((hessian + hessian.T) / 2)


class Turned:
    """L(θ) = ½ Σ hᵢ zᵢ², z = θ turned by two rounds of random signs and a cosine transform.

    No axis is special, as in `with_spectrum`, but nothing of size (P, P) is ever written out.
    """

    def __init__(self, values: Iterable[float], seed: int = 0) -> None:
        self.h = np.array(list(values), dtype=np.float64)
        draws = np.random.Generator(np.random.Philox(seed)).standard_normal((2, len(self.h)))
        self.signs = np.sign(draws)

    def hvp(self, theta_P: Tensor) -> Callable[[Tensor], Tensor]:
        """The product of the Hessian with any vector."""
        return lambda v_P: torch.from_numpy(self._bend(v_P.numpy()))

    def __call__(self, theta_P: Tensor) -> float:
        """The loss at one point."""
        theta = theta_P.numpy()
        return 0.5 * float(theta @ self._bend(theta))

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        return np.array([self(theta) for theta in thetas])

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient (P,)."""
        return self(theta_P), torch.from_numpy(self._bend(theta_P.numpy()))

    def _bend(self, v: np.ndarray) -> np.ndarray:
        z = dct(self.signs[1] * dct(self.signs[0] * v, norm="ortho"), norm="ortho")
        return self.signs[0] * idct(self.signs[1] * idct(self.h * z, norm="ortho"), norm="ortho")


def lived_in(model: nn.Module) -> nn.Module:
    """The model with statistics and affine parameters as after training, in float64 and eval mode."""

    def live() -> None:
        for norm in (m for m in model.modules() if isinstance(m, BATCH_NORMS)):
            if norm.running_mean is not None and norm.running_var is not None:
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.3, 3)
            if norm.affine:
                nn.init.normal_(norm.weight)
                nn.init.normal_(norm.bias)

    drawn(live, Stream(1))
    return model.double().eval().requires_grad_(False)
