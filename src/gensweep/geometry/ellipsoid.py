"""The shape of a basin as far as a few products with the Hessian know it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.lanczos import Hessian, ritz_vectors
from gensweep.rng import Stream

PROBES = 20  # random directions whose mean curvature stands for all that have no vector of their own


@dataclass(frozen=True)
class Ellipsoid:
    """P = Vᵀ diag(axes) V + rest·(I − VᵀV): a ball, stretched along a few directions.

    Args:
        vectors_KN: Orthonormal directions V, float64.
        axes_K: Half-lengths along them.
        rest: Half-length along everything else.
    """

    vectors_KN: Tensor
    axes_K: Tensor
    rest: float

    def __matmul__(self, u_N: Tensor) -> Tensor:
        """P u."""
        along_K = self.vectors_KN @ u_N
        return self.rest * u_N + ((self.axes_K - self.rest) * along_K) @ self.vectors_KN

    @property
    def logdet(self) -> float:
        """The natural logarithm of det P."""
        k, n = self.vectors_KN.shape
        return self.axes_K.log().sum().item() + (n - k) * math.log(self.rest)


def ellipsoid(hessian: Hessian, rank: int, floor: float, rng: Stream) -> Ellipsoid:
    """The basin of the quadratic with this Hessian up to one size for all, in ``rank`` directions and a bulk.

    Half-lengths are λ^-½: along the Ritz vectors of the ``rank`` largest eigenvalues one by one, along all
    else from the mean curvature of 20 random directions orthogonal to them.

    Args:
        hessian: In the unit of the rays.
        rank: How many directions.
        floor: Curvature that smaller and negative ones count as, > 0.
        rng: Of the starting vector and the probes.

    Error: None that matters: an estimate by importance sampling is right for any P, and the better the
    nearer P is to the basin.

    Raises:
        FloatingPointError: The Hessian is not finite.
    """
    values, vectors_KN = ritz_vectors(hessian, rank, rng.child("start"))
    axes_K = torch.from_numpy(np.maximum(values, floor) ** -0.5).to(vectors_KN)
    if len(values) == len(hessian):
        return Ellipsoid(vectors_KN, axes_K, 1.0)
    curvatures = []
    for p in range(PROBES):
        v = hessian.vector(rng.child("probe", p).normal(len(hessian)))
        v = v - vectors_KN.T @ (vectors_KN @ v)
        curvatures.append((v @ (hessian @ v) / (v @ v)).item())
    return Ellipsoid(vectors_KN, axes_K, max(float(np.mean(curvatures)), floor) ** -0.5)
