"""Spectra that are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from gensweep.known import Turned
from gensweep.measures.hessian_ratio import HessianRatio
from gensweep.measures.spectrum import RESIDUAL, Spectrum
from gensweep.rng import Stream
from gensweep.rows import Row
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.verdict import by_stderr, inside, relatively


def cases() -> Iterator[Case]:
    """Eigenvalues, trace and density of turned quadratics; the trace alone where it has to be estimated."""
    for n, share in ((50, 0.25), (500, 0.25), (2000, 0.1)):
        answers, loss = spectrum(n, Spectrum(), ends=True)
        yield Case("spectrum", f"five outliers, n = {n}", answers, loss, share)
    for n, share in ((80, 1.0), (300, 0.25)):
        answers, loss = spectrum(n, Spectrum(1, 4, 24), ends=False)
        yield Case("spectrum", f"a tail, n = {n}", answers, loss, share)
    for n, share in ((40, 1.0), (400, 0.25)):
        values = np.repeat([1.0, 3.0], n // 2)  # one step ends half-way between them, as far off as can be
        yield Case(
            "spectrum", f"two eigenvalues, one step, n = {n}", by_residual(values), Turned(values), share
        )
    for n in (20, 200):
        answers, loss = ratio(n)
        yield Case("hessian_ratio", f"one negative, n = {n}", answers, loss, share=0.25)


def outliers(n: int) -> np.ndarray:
    """Five that stand out, a tail over three orders of magnitude, and one below zero; ascending."""
    return np.sort(np.concatenate([[50.0, 30.0, 20.0, 10.0, 5.0, -0.5], np.geomspace(1e-3, 1, n - 6)]))


def spectrum(n: int, measure: Spectrum, ends: bool):
    """The rows of `Spectrum` and a loss for them."""
    values = outliers(n) if ends else np.geomspace(0.01, 1, n)
    moments = {} if ends else {1: values.mean(), 2: (values**2).mean()}  # one outlier would be all of them

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        rows = list(measure.decompose(loss, torch.zeros(n, dtype=torch.float64), rng))
        for row in rows:
            if row.quantity == "eigenvalue" and ends:
                yield Answer(row, values[-1 - row.index], relatively(RESIDUAL), str(row.index))
            if row.quantity == "lambda_min" and ends:
                yield Answer(row, values[0], relatively(RESIDUAL))
            if row.quantity == "trace":
                yield Answer(row, values.sum(), by_stderr)
        for power, truth in moments.items():
            yield Answer(
                moment(rows, power, measure.probes), truth, by_stderr, f"∫λ{'' if power == 1 else '²'}"
            )

    return answers, Turned(values)


def by_residual(values: np.ndarray):
    """The ends of the spectrum with residuals for errors: some eigenvalue lies within, settled or not."""

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        rows = list(
            Spectrum(top=1, steps=1, probes=1).decompose(loss, torch.zeros(len(values)).double(), rng)
        )
        residuals = {row.index: row.value for row in rows if row.quantity == "residual"}
        for row in rows:
            if row.quantity in ("eigenvalue", "lambda_min"):
                nearest = float(values[np.abs(values - row.value).argmin()])
                stated = replace(row, stderr=residuals[row.index] * abs(row.value), status="ok")
                yield Answer(stated, nearest, inside, "by residual")

    return answers


def moment(rows: list[Row], power: int, probes: int) -> Row:
    """A moment of the density, its error from the spread over the probes."""
    shares = [(row.index, row.value * row.x**power) for row in rows if row.quantity == "density"]
    sums = np.bincount([i for i, _ in shares], [share for _, share in shares], probes)
    return Row("density", float(sums.mean()), float(sums.std(ddof=1)) / math.sqrt(probes), "train")


def ratio(n: int):
    """The rows of `HessianRatio` and a loss for them."""
    values = np.append(np.geomspace(0.01, 10, n - 1), -2.0)

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        zero_P = torch.zeros(n, dtype=torch.float64)
        row, _ = HessianRatio(points=1).map(loss, zero_P, zero_P, zero_P, rng)
        yield Answer(row, 0.2, relatively(0.01))

    return answers, Turned(values)
