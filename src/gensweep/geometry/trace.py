"""The trace of a matrix known by its products."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.lanczos import Hessian
from gensweep.rng import Stream

SKETCH = 20  # directions whose share of the trace is taken exactly
HELD = 2**27  # scalars of them at most: 1 GiB, so that there are 8 of them with 15 million parameters
FEWEST = 20  # probes of the rest before their spread may end the search
BUDGET = 300  # products
RTOL = 0.02
ENDED = 1e-12  # of its length: what is left of a vector that lies in the span of others is rounding


@dataclass(frozen=True)
class Trace:
    """A trace and its standard error.

    Args:
        value: The estimate.
        stderr: Its standard error; 0 when every direction was taken.
        settled: Whether the error came below 2 % of the value within the budget.
    """

    value: float
    stderr: float
    settled: bool


def trace(hessian: Hessian, rng: Stream) -> Trace:
    """The trace: exactly on the range of a random sketch, by random signs on what is left.

    The sketch has 20 directions, or as many as fit into 1 GiB.

    Error: Unbiased. ``stderr`` is that of the mean over the probes of the rest; the part in the sketch
    has none. Probes are added until it is below 2 %, at most 300 products in all.

    Source: Meyer et al. 2021 (2010.09649), Hutch++.
    """
    n = len(hessian)
    if n <= 2 * SKETCH + FEWEST:
        exact = sum(
            (hessian @ e)[i].item() for i, e in enumerate(torch.eye(n).to(hessian.like.device).double())
        )
        return Trace(exact, 0.0, True)
    basis_SP = _sketch(hessian, rng)
    inside = sum((q @ (hessian @ q)).item() for q in basis_SP)
    probes: list[float] = []
    while True:
        v = hessian.vector(_signs(rng.child("probe", len(probes)), n))
        v -= basis_SP.T @ (basis_SP @ v)
        probes.append((v @ (hessian @ v)).item())
        found = _estimate(inside, probes)
        if found.settled or 2 * len(basis_SP) + len(probes) >= BUDGET:
            return found


def _sketch(hessian: Hessian, rng: Stream) -> Tensor:
    """An orthonormal basis of the images of a few random vectors, (S, P); rows of 0 fill it up."""
    n = len(hessian)
    basis_SP = torch.zeros(min(SKETCH, max(1, HELD // n)), n, dtype=torch.float64, device=hessian.like.device)
    for s in range(len(basis_SP)):
        image = hessian @ hessian.vector(_signs(rng.child("sketch", s), n))
        length = image.norm()
        for _ in range(2):
            image = image - basis_SP[:s].T @ (basis_SP[:s] @ image)
        if image.norm() > ENDED * length:
            basis_SP[s] = image / image.norm()
    return basis_SP


def _estimate(inside: float, probes: list[float]) -> Trace:
    value = inside + float(np.mean(probes))
    if len(probes) < FEWEST:
        return Trace(value, math.nan, False)
    stderr = float(np.std(probes, ddof=1)) / math.sqrt(len(probes))
    return Trace(value, stderr, stderr <= RTOL * abs(value))


def _signs(rng: Stream, n: int) -> np.ndarray:
    """±1 with equal chances, float64 (n,)."""
    return 2.0 * rng.integers(2, n) - 1
