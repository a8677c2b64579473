"""How far the loss is from convex, over a plane through the solution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gensweep.blocks import remembered
from gensweep.data.base import Data
from gensweep.geometry.lanczos import Hessian, Ritz, lanczos
from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk, SmoothLoss
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

RESIDUAL = 1e-2  # of λ_max: residuals bound the error from far above


@dataclass(frozen=True)
class HessianRatio:
    """``ratio`` = |λ_min/λ_max| of the training loss's Hessian at θ* + x·d₁ + y·d₂, the plane of `Surface`.

    Args:
        points: Grid points per axis.
        span: The grid covers [−span, span]²; at 1 every filter has moved by its own norm.
        steps: Of Lanczos at each point; nets had six digits of the ratio after 30.
        examples: Training examples that the loss is of, drawn without replacement; null takes all.

    Cost: ``steps`` HVP per grid point: 3,630 at the defaults. ``products`` counts them.

    Error: Right to the residuals of both ends over λ_max; above 1 % in all, ``not_converged``. Where
    λ_max ≤ 0 there is no ratio. With ``examples`` it is the
    ratio of these, and how far that of all is from it is not said.

    Invariance: The plane is filter-normalised, the Hessian is not: only a permutation of hidden units
    keeps the ratio, in the permuted plane.

    Trust: A ratio near 0 says that no curvature is as negative as the largest is positive; it does not
    say that the loss is convex. Small eigenvalues of both signs are usual.

    Source: Li et al. 2018 (1712.09913), §6; all parameters, where they took weights alone.

    Example: ``HessianRatio(points=3)``
    """

    points: int = 11
    span: float = 1.0
    steps: int = 30
    examples: int | None = None

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        theta_P = solution.theta_P
        d1, d2 = (li_direction(solution.layout, theta_P, rng.child("direction", i)) for i in (0, 1))
        which = rng.child("examples").permutation(len(data.train))[: self.examples]
        risk = Risk(solution, data.train if self.examples is None else data.train.take(which), data)
        yield from self.map(risk, theta_P, d1, d2, rng)

    def map(self, loss: SmoothLoss, theta_P: Tensor, d1: Tensor, d2: Tensor, rng: Stream) -> Iterator[Row]:
        """The measure for any loss and plane, so that a test can put a polynomial where the network goes."""
        grid = np.linspace(-self.span, self.span, self.points).tolist()
        products = 0

        def at(point_P: Tensor, x: float, y: float) -> tuple[dict[str, Any], int]:
            hessian = Hessian(loss.hvp(point_P), theta_P)
            return asdict(cell(hessian, rng.child("start"), self.steps, x, y)), hessian.products

        for y in grid:
            for x in grid:
                row, spent = remembered(at, theta_P + x * d1 + y * d2, x, y, total=self.points**2)
                yield Row(**row)
                products += spent
        yield Row("products", products, split="train")


def cell(hessian: Hessian, rng: Stream, steps: int, x: float, y: float) -> Row:
    """The ratio at one point; the same start everywhere keeps its error smooth over the plane."""
    try:
        ritz = lanczos(hessian, hessian.vector(rng.normal(len(hessian))), steps)
    except FloatingPointError as error:
        return Row("ratio", math.nan, math.nan, "train", x=x, y=y, status="nonfinite", reason=str(error))
    return ratio(ritz, x, y)


def ratio(ritz: Ritz, x: float, y: float) -> Row:
    """|λ_min/λ_max| from both ends of one Lanczos run."""
    low, high = ritz.values_M[[0, -1]].tolist()
    if high <= 0:
        return not_applicable("ratio", f"λ_max = {high:.3g} is not positive", split="train", x=x, y=y)
    value = abs(low / high)
    error = (ritz.residuals_M[0] + value * ritz.residuals_M[-1]).item() / high
    if error <= RESIDUAL:
        return Row("ratio", value, error, "train", x=x, y=y)
    reason = f"the residuals allow an error of {error:.2g}"
    return Row("ratio", value, error, "train", x=x, y=y, status="not_converged", reason=reason)
