"""Balls and ellipsoids, whose volumes are known in every dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import digamma
from scipy.stats import chi2

from gensweep.geometry.metric import Metric
from gensweep.geometry.volume import LN10
from gensweep.known import Bowls, Turned
from gensweep.measures.basin import Basin
from gensweep.rng import Stream
from gensweep.selftest.case import Answer, Case, Counted, Line
from gensweep.selftest.verdict import as_bound, by_stderr, inside, within

CUTOFF = 0.5
ROUND = within(2 * 0.01 / LN10)  # radii are right to 0.01/n
Judge = Callable[[Line], str]


def cases() -> Iterator[Case]:
    """By rays; then by curvature and by Gaussian steps."""
    yield from of_rays()
    yield from of_stretched_rays()
    for n, share in ((80, 1.0), (500, 0.25)):
        h_P = np.geomspace(0.01, 1, n)
        yield Case("basin", f"a bowl by its trace, n = {n}", by_trace(h_P), Turned(h_P), share)
    for n, log10, moves, share in ((10, -0.5, 10, 1.0), (10, -2.3, 4, 1.0), (200, -3.0, 10, 0.1)):
        wall = float(chi2.ppf(10**log10, n)) / 2
        problem = f"a Gaussian ball, 10^{log10:g}, n = {n}"
        yield Case("basin", problem, local([1.0] * n, wall, log10, moves), Bowls([1.0] * n), share)
    for n, wall, moves, share in ((10, 15.0, 5, 0.25), (40, 100.0, 10, 0.1)):
        h = np.repeat(np.geomspace(1, 100, n // 2), 2).tolist()
        truth = pairs_log10(h[::2], wall)
        problem = f"a Gaussian ellipsoid, 10^{truth:.1f}, n = {n}"
        yield Case("basin", problem, local(h, wall, truth, moves), Bowls(h), share)


def of_rays() -> Iterator[Case]:
    """Exact on balls, with an error on round ellipsoids, a bound on long ones; radii alone."""
    for n in (2, 50, 2000):
        answers = by_rays(np.full(n, 3.0), 30, ROUND, ROUND)
        yield Case("basin", f"a ball by rays, n = {n}", answers, Bowls(np.full(n, 3.0)), 0.1)
    for n, condition, rays, share in (
        (3, 10, 100, 1.0),
        (10, 3, 100, 1.0),
        (10, 1e4, 200, 0.25),
        (100, 1e4, 100, 0.1),
        (1000, 1e4, 30, 0.1),
    ):
        h_P = np.geomspace(1, condition, n)
        problem = f"an ellipsoid by rays, axes 1:{condition**0.5:.3g}, n = {n}"
        yield Case(
            "basin",
            problem,
            by_rays(h_P, rays, as_bound if condition > 10 else by_stderr, by_stderr),
            Bowls(h_P),
            share,
        )
    for n, share in ((3, 1.0), (200, 0.25)):
        h_P = np.geomspace(1, 10, n)
        yield Case("basin", f"five rays in an ellipsoid, n = {n}", widest(h_P), Bowls(h_P), share)


def of_stretched_rays() -> Iterator[Case]:
    """Exact where a few directions and a flat bulk are all, with an error where the bulk is uneven."""
    for n, share in ((80, 0.25), (500, 0.1)):
        h_P = np.append(np.geomspace(2, 500, 6), np.full(n - 6, 0.7))
        problem = f"six outliers over a flat bulk, n = {n}"
        yield Case("basin", problem, preconditioned(h_P, 6, 30, ROUND), Turned(h_P), share)
    for n, share in ((10, 1.0), (30, 0.25)):
        h_P = np.append(np.geomspace(1, 1 + 20 / n, n - 2), [40.0, 200.0])
        problem = f"two outliers over an uneven bulk, n = {n}"
        yield Case("basin", problem, preconditioned(h_P, 2, 100, by_stderr), Bowls(h_P), share)


def by_rays(h_P: np.ndarray, rays: int, judge: Judge, of_jensen: Judge):
    """log10 E[rⁿ] is the sum over the semi-axes, and n·E[log10 r] an integral."""
    n = len(h_P)
    truths = {
        "log10_volume": n / 2 * math.log10(2 * CUTOFF) - np.log10(h_P).sum() / 2,
        "log10_volume_jensen": n / 2 * (math.log10(2 * CUTOFF) - mean_log(h_P) / LN10),
    }
    far = 10 * math.sqrt(2 * CUTOFF / h_P.min())
    measure = Basin(
        [CUTOFF], directions=rays, max_radius=far, min_radius=far / 1e4, scan_points=13, replicates=0, rank=0
    )

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in walked(measure, loss, n, rng):
            if row.quantity in truths:
                yield Answer(row, truths[row.quantity], of_jensen if "jensen" in row.quantity else judge)

    return answers


def preconditioned(h_P: np.ndarray, rank: int, rays: int, judge: Judge):
    """Along rays that lean towards the flat directions; exact where a few directions and a bulk are all."""
    truth = len(h_P) / 2 * math.log10(2 * CUTOFF) - np.log10(h_P).sum() / 2
    measure = Basin([CUTOFF], directions=rays, max_radius=1e3, scan_points=13, replicates=0, rank=rank)

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in walked(measure, loss, len(h_P), rng):
            if row.quantity == "log10_volume_preconditioned":
                yield Answer(row, truth, judge)

    return answers


def widest(h_P: np.ndarray):
    """The middle of a bracket: of the one that misses the crossing by most, or comes nearest to that."""
    unit = Metric(torch.ones(len(h_P), dtype=torch.float64))
    measure = Basin([CUTOFF], directions=5, max_radius=100.0, scan_points=13, replicates=0, rank=0)

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        found = []
        for row in walked(measure, loss, len(h_P), rng):
            if row.quantity == "radius":
                u_P = unit.direction(rng.child("ray", row.index)).numpy()
                middle = replace(row, value=row.value + row.stderr)
                found.append(Answer(middle, math.sqrt(2 * CUTOFF / (h_P @ u_P**2)), inside, "middle"))
        yield max(found, key=lambda answer: abs(answer.row.value - answer.truth) / answer.row.stderr)

    return answers


def walked(measure: Basin, loss: Counted, n: int, rng: Stream):
    """The rows of `Basin` around 0 in the Euclidean unit."""
    zero_P = torch.zeros(n, dtype=torch.float64)
    return measure.walk(loss, zero_P, Metric(torch.ones_like(zero_P)), rng)


def mean_log(h_P: np.ndarray) -> float:
    """E[ln uᵀHu], u uniform on the sphere: by Frullani's integral for Σ hᵢzᵢ², less the same for Σ zᵢ²."""
    n, centre = len(h_P), float(h_P.mean())

    def integrand(s: float) -> float:
        t = math.exp(s)
        return math.exp(-t) - math.exp(-0.5 * np.log1p(2 * t * h_P / centre).sum())

    whole = quad(integrand, -50, 20, limit=400, points=[-8, -4, 0, 4], epsabs=1e-10)[0]
    return whole + math.log(centre) - math.log(2) - float(digamma(n / 2))


def by_trace(h_P: np.ndarray):
    """(n/2)·log10(2·height·n/tr H) with the trace as it is."""
    n = len(h_P)
    truth = n / 2 * math.log10(2 * CUTOFF * n / h_P.sum())
    measure = Basin(
        [CUTOFF], directions=1, min_radius=1.0, max_radius=1e3, scan_points=2, replicates=0, rank=0
    )

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in walked(measure, loss, n, rng):
            if row.quantity == "log10_volume_trace":
                yield Answer(row, truth, by_stderr)

    return answers


def local(h: Sequence[float], wall: float, truth: float, moves: int):
    """Pr[½ Σ hᵢzᵢ² ≤ wall], z standard normal: σ is √n, so that a weight has standard deviation 1."""
    n = len(h)
    rays: dict[str, Any] = {
        "directions": 1,
        "min_radius": 1.0,
        "max_radius": 1e3,
        "scan_points": 2,
        "rank": 0,
    }
    measure = Basin([wall], **rays, sigma=math.sqrt(n), moves=moves)  # rays are not the subject here

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in walked(measure, loss, n, rng):
            if row.quantity == "log10_local_volume":
                yield Answer(row, truth, by_stderr)

    return answers


def pairs_log10(curvatures: Sequence[float], wall: float) -> float:
    """log10 Pr[Σ hⱼ(z₁ⱼ² + z₂ⱼ²)/2 ≤ wall]: a sum of exponentials, in closed form where all hⱼ differ."""
    with localcontext() as exact:
        exact.prec = 80
        h = [Decimal(c) for c in curvatures]
        below = Decimal(1)
        for j, a in enumerate(h):
            weight = Decimal(1)
            for k, b in enumerate(h):
                weight *= a / (a - b) if k != j else 1
            below -= weight * (-Decimal(wall) / a).exp()
        return float(below.log10())
