"""What becomes of the decision boundary while the weights move along one direction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gensweep.blocks import remembered
from gensweep.data.base import Data
from gensweep.geometry.derivative import NoDerivative
from gensweep.geometry.lanczos import largest, relative
from gensweep.geometry.metric import Metric, filterwise, li_direction
from gensweep.geometry.risk import Risk, SmoothLoss
from gensweep.geometry.solution import Solution
from gensweep.measures.boundary import NO_PLANE, in_a_plane, square, train_points
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

RESIDUAL = 1e-2  # of the curvature, which is drawn over decades
NAMES = ("loss", "accuracy", "curvature", "probability")


@dataclass(frozen=True)
class PerturbedBoundary:
    """The network at θ* + c·d, d a random filter-normalised direction, at c = reach·(k/steps)², ``index`` k.

    Yields at each step, with c in ``x``, ``loss`` and ``accuracy`` on the training set and ``curvature``, the
    largest eigenvalue of the Hessian of that loss in the ``filter`` metric of θ*: in its unit, a step of
    length 1 changes a typical filter by its own norm. And the ``probability`` of class 1 at each input
    (``x``, ``y``) of a square, and the ``train_point``s with their class.

    Args:
        steps: From θ* to the farthest point; with k = 0 there is one map more.
        reach: Largest c: at 1 every filter has moved by its own norm.
        points: Grid points per axis of a map.
        span: The square is [−span, span]² in raw input units.

    Cost: Per step a forward pass of points² inputs, 2 F and about 21 HVP.

    Error: Exact for this direction, but that a ``probability`` is rounded to thousandths, which no picture
    shows. A curvature is right to its residual, its ``stderr``; ``not_converged`` above a hundredth of it.
    Only for two inputs and two classes.

    Invariance: Rescaling whole layers of a ReLU net without biases against each other; permutation of hidden
    units, with the direction permuted.

    Trust: One direction of very many. That a boundary holds out longer says that the weights are far from
    where the training points are misclassified, not that it is in the right place.

    Source: Huang et al. 2019 (1906.03291), the animations beside their figure 3.

    Example: ``PerturbedBoundary(steps=4, points=20, span=3.0)``
    """

    steps: int = 24
    reach: float = 0.5
    points: int = 48
    span: float = 18.0

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        if not in_a_plane(data):
            yield from (not_applicable(name, NO_PLANE) for name in NAMES)
            return
        grid = square(self.points, self.span)
        train, plane = Risk(solution, data.train, data), Risk(solution, grid, data)
        d_P = li_direction(solution.layout, solution.theta_P, rng.child("direction", 0))
        metric, places = filterwise(solution), grid.x.tolist()
        for k in range(self.steps + 1):
            c = self.reach * (k / self.steps) ** 2
            point_P = solution.theta_P + c * d_P
            for quantity, value in zip(NAMES, train.loss_and_accuracy(point_P), strict=False):
                yield Row(quantity, value, split="train", index=k, x=c)
            yield Row(**remembered(curvature, train, point_P, metric, k, c, rng, total=self.steps + 1))
            for (x, y), p in zip(places, probabilities(plane, point_P), strict=True):
                yield Row("probability", p, index=k, x=x, y=y)
        yield from train_points(data)


def probabilities(plane: Risk, point_P: Tensor) -> list[float]:
    """Of class 1, at each input, to three decimals."""
    found: list[float] = torch.round(plane.logits(point_P).double().softmax(1)[:, 1], decimals=3).tolist()
    return found


def curvature(
    loss: SmoothLoss, point_P: Tensor, metric: Metric, k: int, c: float, rng: Stream
) -> dict[str, Any]:
    """The row of the largest eigenvalue at one step; the same start everywhere."""
    row: dict[str, Any] = {"split": "train", "index": k, "x": c}
    try:
        values, residuals = largest(metric.hessian(loss.hvp(point_P)), 1, rng.child("start"))
    except NoDerivative as obstacle:
        return asdict(not_applicable("curvature", str(obstacle), **row))
    except FloatingPointError as error:
        return asdict(Row("curvature", math.nan, math.nan, **row, status="nonfinite", reason=str(error)))
    value, residual = values[0].item(), residuals[0].item()
    if (share := relative(residual, value, abs(value))) > RESIDUAL:
        row |= {"status": "not_converged", "reason": f"relative residual {share:.2g}"}
    return asdict(Row("curvature", value, residual, **row))
