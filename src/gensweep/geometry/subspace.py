"""A random subspace of weight space, and a loss seen from inside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.noise import gaussian
from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

BLOCK = 2**26  # scalars of columns held at a time


class Subspace:
    """A matrix A (P, D) of random unit columns that need not fit into memory.

    Columns are drawn from their streams block by block; the blocks are kept when all of them fit, and
    drawn again at every use when they do not.

    Args:
        like_P: Gives P, device and precision.
        dimensions: Number of columns D.
        rng: Column d has a stream of its own.
    """

    def __init__(self, like_P: Tensor, dimensions: int, rng: Stream) -> None:
        self.like_P, self.dimensions, self.rng = like_P, dimensions, rng
        self.width = max(1, BLOCK // len(like_P))
        self.kept = self._drawn(0) if self.width >= dimensions else None

    def _drawn(self, first: int) -> Tensor:
        columns = range(first, min(first + self.width, self.dimensions))
        drawn = (gaussian(self.rng.child("column", d), self.like_P) for d in columns)
        return torch.stack([column / column.double().norm() for column in drawn], 1)

    def _blocks(self) -> Iterator[tuple[slice, Tensor]]:
        for first in range(0, self.dimensions, self.width):
            place = slice(first, first + self.width)
            yield place, self._drawn(first) if self.kept is None else self.kept

    def up(self, z_D: Tensor) -> Tensor:
        """A z, the step in weight space, (P,)."""
        step_P = torch.zeros_like(self.like_P)
        for place, block in self._blocks():
            step_P += block @ z_D[place]
        return step_P

    def down(self, v_P: Tensor) -> Tensor:
        """Aᵀ v, a gradient in the coordinates of the subspace, (D,)."""
        return torch.cat([block.T @ v_P for _, block in self._blocks()])

    def coordinates(self, theta_P: Tensor) -> Tensor:
        """A⁺ θ, where in the subspace θ lies, (D,), by the normal equations AᵀA z = Aᵀθ in float64."""
        gram_DD = torch.empty(self.dimensions, self.dimensions, dtype=torch.float64, device=theta_P.device)
        for rows, left in self._blocks():
            for columns, right in self._blocks():
                gram_DD[rows, columns] = (left.T @ right).double()
        return torch.linalg.solve(gram_DD, self.down(theta_P).double()).to(theta_P)


class Within:
    """A loss as a function of the coordinates z in a subspace through θ: L(θ + A z).

    Args:
        loss: Any loss.
        theta_P: Where z is 0.
        subspace: A.
    """

    def __init__(self, loss: Loss, theta_P: Tensor, subspace: Subspace) -> None:
        self.loss, self.theta_P, self.subspace = loss, theta_P, subspace

    def __call__(self, z_D: Tensor) -> float:
        """The loss at one point of the subspace."""
        return self.loss(self.theta_P + self.subspace.up(z_D))

    def many(self, points: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        return np.array([self(z_D) for z_D in points])

    def grad(self, z_D: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient in the coordinates, (D,)."""
        value, gradient_P = self.loss.grad(self.theta_P + self.subspace.up(z_D))
        return value, self.subspace.down(gradient_P)
