"""Spectra that are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from gensweep.geometry.lanczos import FLOOR
from gensweep.known import Turned
from gensweep.measures.hessian_ratio import HessianRatio
from gensweep.measures.spectrum import RESIDUAL, Spectrum
from gensweep.rng import Stream
from gensweep.rows import Row
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.verdict import by_stderr, inside, relatively

ENDS = ("eigenvalue", "lambda_min")


def cases() -> Iterator[Case]:
    """Eigenvalues, trace and density of turned quadratics; where the trace has to be estimated, residuals."""
    for n, share in ((50, 0.25), (500, 0.25), (2000, 0.1)):
        answers, loss = spectrum(n, Spectrum(), ends=True)
        yield Case("spectrum", f"five outliers, n = {n}", answers, loss, share)
    for n, share in ((80, 1.0), (300, 0.25)):
        answers, loss = spectrum(n, Spectrum(1, 4, 24), ends=False)
        yield Case("spectrum", f"a tail, n = {n}", answers, loss, share)
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
        if not ends:
            yield from (residual(row, rows, values) for row in rows if row.quantity in ENDS)
        for power, truth in moments.items():
            yield Answer(
                moment(rows, power, measure.probes), truth, by_stderr, f"∫λ{'' if power == 1 else '²'}"
            )

    return answers, Turned(values)


def residual(row: Row, rows: list[Row], values: np.ndarray) -> Answer:
    """An end of the spectrum with its residual for an error: some eigenvalue lies within, settled or not."""
    (of_it,) = (r.value for r in rows if r.quantity == "residual" and r.index == row.index)
    nearest = values[np.abs(values - row.value).argmin()]
    size = max(abs(row.value), FLOOR * max(abs(r.value) for r in rows if r.quantity in ENDS))
    return Answer(replace(row, stderr=of_it * size, status="ok"), float(nearest), inside, "by residual")


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
