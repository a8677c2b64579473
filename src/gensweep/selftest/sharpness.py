"""Largest losses of linear regression: over a box in a corner, over a ball by an eigenvalue."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.subspace import Subspace
from gensweep.known import Regression
from gensweep.measures.adaptive_sharpness import AdaptiveSharpness
from gensweep.measures.box_sharpness import BoxSharpness
from gensweep.rng import Stream
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.verdict import from_below

EPSILON = RHO = 0.05


def cases() -> Iterator[Case]:
    """Every corner of the box is tried, up to 2¹² of them."""
    for n in (4, 8, 12):
        loss, w = regression(n)
        yield Case("box_sharpness", f"regression, all 2^{n} corners", corner(loss, w), loss, 0.25)
        yield Case("adaptive_sharpness", f"regression, n = {n}", worst(loss, w), loss, 0.25)
    loss, w = regression(50)
    yield Case("box_sharpness", "regression, n = 50, 2^8 corners", corner(loss, w, 8), loss, 0.25)


def regression(n: int) -> tuple[Regression, Tensor]:
    """40 examples, and weights near their minimum but not at it."""
    rng = Stream(n)
    a = torch.from_numpy(rng.child("a").normal(40 * n)).double().view(40, n)
    w = torch.from_numpy(rng.child("w").normal(n)).double()
    return Regression(a, a @ w + torch.from_numpy(rng.child("b").normal(40)).double()), w


def highest(loss: Regression, w: Tensor, half_widths: Tensor) -> float:
    """The largest loss over w plus any signs of the columns (P, D) of ``half_widths``."""
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=half_widths.shape[1])), dtype=torch.float64)
    residuals = (loss.a @ w - loss.b)[:, None] + loss.a @ half_widths @ signs.T
    return (residuals**2).mean(0).max().item()


def corner(loss: Regression, w: Tensor, columns: int | None = None):
    """Both units of the box in the whole space, or Keskar's in a subspace."""
    base = loss(w)

    def answers(counted: Counted, rng: Stream) -> Iterator[Answer]:
        truth = 0.0 if columns else highest(loss, w, torch.diag(EPSILON * (w.abs() + 1))) - base
        for row in BoxSharpness(epsilon=EPSILON, subspace=columns).search(counted, w, rng):
            if columns and row.quantity == "keskar_sharpness_subspace":
                matrix = Subspace(w, columns, rng.child("subspace"))
                width = EPSILON * (matrix.coordinates(w).abs() + 1)
                rise = highest(loss, w, torch.stack([matrix.up(z) for z in torch.diag(width)], 1)) - base
                yield Answer(row, 100 * rise / (1 + base), from_below)
            elif not columns and row.quantity == "neyshabur_sharpness":
                yield Answer(row, truth, from_below)
            elif not columns and row.quantity.startswith("keskar"):
                yield Answer(row, 100 * truth / (1 + base), from_below)

    return answers


def worst(loss: Regression, w: Tensor):
    """From the best weights: ½ρ²λ_max(THT) in the ball, the best corner in the box."""
    w = torch.linalg.lstsq(loss.a, loss.b).solution
    scaled = loss.a * w.abs()
    top = np.linalg.eigvalsh((2 * scaled.T @ scaled / len(loss.b)).numpy())[-1]
    truths = {
        "worst_l2": RHO**2 / 2 * top,
        "worst_linf": highest(loss, w, torch.diag(RHO * w.abs())) - loss(w),
    }

    def answers(counted: Counted, rng: Stream) -> Iterator[Answer]:
        measure = AdaptiveSharpness(rho=(RHO, RHO), draws=2)
        for row in measure.search(counted, [], [], w, rng, ""):
            if row.quantity in truths:
                yield Answer(row, truths[row.quantity], from_below)

    return answers
