"""The ends, the sum and the density of the Hessian's spectrum."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.lanczos import Hessian, Ritz, lanczos, largest, relative
from gensweep.geometry.risk import Risk, SmoothLoss
from gensweep.geometry.solution import Solution
from gensweep.geometry.trace import Trace, trace
from gensweep.rng import Stream
from gensweep.rows import Row

RESIDUAL = 1e-3  # above this relative residual an eigenvalue has not converged
NAMES = ("eigenvalue", "lambda_min", "trace", "density")


@dataclass(frozen=True)
class Spectrum:
    """The Hessian H of the training loss in the parameters as they are, biases included.

    Yields ``eigenvalue`` by ``index``, the largest first; ``lambda_min``; ``trace``; and ``density``, the
    probability mass ``value`` at the eigenvalue ``x`` that one random vector, ``index``, sees.
    ``residual`` is ‖Hu − λu‖/|λ|, by the ``index`` of the eigenvalue, −1 for the smallest.

    Args:
        top: How many of the largest eigenvalues.
        steps: Lanczos steps per probe; the smallest eigenvalue comes from the same steps.
        probes: Random vectors of the density.

    Cost: steps·probes HVP, about 17 for the top eigenvalues, 60 to 300 for the trace; ``products`` counts
    them.

    Error: An eigenvalue is right to its residual, which is its ``stderr``, ``not_converged`` above 1e-3; nets
    with kinks (ReLU, max-pooling) have three digits in float32, whatever the residual. The trace has a
    ``stderr``. The density of one probe is exact for polynomials of degree below twice the steps; the
    probes' spread is the rest.

    Invariance: Permutation of hidden units leaves the spectrum alone. Every rescaling of layers or
    neurons changes it, without bound, though the function stays.

    Trust: Not as a measure of flatness across nets with weights of different size. ReLU nets have
    curvature in their kinks that no Hessian sees.

    Source: Ghorbani et al. 2019 (1901.10159) for the density; Meyer et al. 2021 (2010.09649) for the trace.

    Example: ``Spectrum(top=3, steps=20, probes=2)``
    """

    top: int = 5
    steps: int = 80
    probes: int = 8

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        yield from self.decompose(Risk(solution, data.train, data), solution.theta_P, rng)

    def decompose(self, loss: SmoothLoss, theta_P: Tensor, rng: Stream) -> Iterator[Row]:
        """The measure for any loss, so that a test can put a quadratic where the network goes."""
        hessian = Hessian(loss.hvp(theta_P), theta_P)
        try:
            runs = [self.run(hessian, rng.child("density", p)) for p in range(self.probes)]
            high, residuals = largest(hessian, self.top, rng.child("top"))
            total = trace(hessian, rng.child("trace"))
        except FloatingPointError as error:
            for name in NAMES:
                yield Row(name, math.nan, math.nan, "train", status="nonfinite", reason=str(error))
        else:
            yield from ends(runs, high, residuals)
            yield traced(total)
            for p, ritz in enumerate(runs):
                yield from nodes(ritz, p)
        yield Row("products", hessian.products, split="train")

    def run(self, hessian: Hessian, rng: Stream) -> Ritz:
        """Lanczos from one random direction."""
        return lanczos(hessian, hessian.vector(rng.normal(len(hessian))), self.steps)


def ends(runs: list[Ritz], high: np.ndarray, residuals: np.ndarray) -> Iterator[Row]:
    """The largest eigenvalues, and the smallest that any of the runs saw."""
    low = min(runs, key=lambda ritz: ritz.values_M[0])
    scale = max(abs(high[0]), abs(low.values_M[0]))
    for i, (value, residual) in enumerate(zip(high.tolist(), residuals.tolist(), strict=True)):
        yield from eigenvalue("eigenvalue", i, value, residual, scale)
    value, residual = low.values_M[0].item(), low.residuals_M[0].item()
    yield from eigenvalue("lambda_min", -1, value, residual, scale)


def eigenvalue(quantity: str, index: int, value: float, residual: float, scale: float) -> Iterator[Row]:
    """One eigenvalue, and its residual as its error and relative to it."""
    flag: dict[str, Any] = {}
    share = relative(residual, value, scale)
    if share > RESIDUAL:
        flag = {"status": "not_converged", "reason": f"relative residual {share:.2g}"}
    yield Row(quantity, value, residual, "train", index, **flag)
    yield Row("residual", share, split="train", index=index)


def traced(total: Trace) -> Row:
    """The trace."""
    flag: dict[str, Any] = {}
    if not total.settled:
        flag = {"status": "not_converged", "reason": "the budget of products ended above 2 % of error"}
    return Row("trace", total.value, total.stderr, "train", **flag)


def nodes(ritz: Ritz, probe: int) -> Iterator[Row]:
    """The density that one probe sees; Ritz values that rounding made equal are one node."""
    values, place = np.unique(ritz.values_M, return_inverse=True)
    for x, weight in zip(values.tolist(), np.bincount(place, ritz.weights_M).tolist(), strict=True):
        yield Row("density", weight, split="train", index=probe, x=x)
