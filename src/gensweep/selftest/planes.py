"""Losses and probabilities along lines and planes, of linear networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from scipy.special import expit

from gensweep.measures.boundary import Boundary
from gensweep.measures.slice import Slice
from gensweep.measures.surface import Surface
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.rows import Row
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.networks import STEEP, redrawn, two_classes
from gensweep.selftest.verdict import within

ENDS = (-0.5, 0.0, 0.5)


def cases() -> Iterator[Case]:
    """A filter-normalised direction lengthens or shortens a single weight; chance decides which."""
    for n in (50, 500):
        yield Case("slice", f"one weight, N = {n}", line(n), share=0.1)
        yield Case("surface", f"one weight, N = {n}", plane(n), share=0.1)
    for n in (2, 50):
        yield Case("boundary", f"a linear network, N = {n}", boundary(n), share=0.1)


def one_weight(n: int, rng: Stream):
    """A network with a single weight, and its loss and accuracy when that is stretched."""
    solution, data = redrawn(n, 1.0, rng)
    theta_P = torch.tensor([0.0, STEEP, 0.0, 0.0], dtype=torch.float64)
    x = data.train.x.astype(float)[:, 0]

    def stretched(by: float) -> tuple[float, float]:
        return float(np.logaddexp(0, -STEEP * (1 + by) * x).mean()), float((x > 0).mean())

    return replace(solution, theta_P=theta_P), data, stretched


def line(n: int):
    """Mean over both ends and the middle: the sign of the direction cancels."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data, stretched = one_weight(n, rng)
        rows = list(Slice(points=3, span=ENDS[-1])(solution, data, rng))
        truths = np.mean([stretched(x) for x in ENDS], axis=0).tolist()
        for quantity, truth in zip(("loss", "accuracy"), truths, strict=True):
            value = float(np.mean([row.value for row in rows if row.quantity == quantity]))
            yield Answer(Row(quantity, value, split="train"), truth, within(1e-8))

    return answers


def plane(n: int):
    """The same over the plane, where both directions lie on one line."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data, stretched = one_weight(n, rng)
        rows = Surface(points=3, span=ENDS[-1])(solution, data, rng)
        truth = float(np.mean([stretched(x + y)[0] for x in ENDS for y in ENDS]))
        mean = float(np.mean([row.value for row in rows]))
        yield Answer(Row("loss", mean, split="train"), truth, within(1e-8))

    return answers


def boundary(n: int):
    """The probability that is furthest from 1/(1 + e^(−w·x))."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        data = redrawn(n, 1.0, rng)[1]
        flat = replace(data.train, x=rng.child("x").normal(2 * n).reshape(n, 2))
        solution, data = two_classes(flat, flat)
        w = rng.child("w").normal(2).astype(float)
        theta_P = torch.tensor([*w, 0.0], dtype=torch.float64)
        model = MLP((2,), 2, [], single_logit=True).double()
        found = [
            Answer(row, float(expit(w[0] * row.x + w[1] * row.y)), within(1e-8))
            for row in Boundary(points=5, span=2.0)(
                replace(solution, model=model, theta_P=theta_P), data, rng
            )
            if row.quantity == "probability"
        ]
        yield max(found, key=lambda answer: abs(answer.row.value - answer.truth))

    return answers
