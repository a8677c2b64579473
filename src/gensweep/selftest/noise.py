"""Bowls under noise or sampled, and accuracies that fall with the noise as they should."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import Tensor, nn

from gensweep.data.base import Data, Split
from gensweep.geometry.solution import Solution
from gensweep.known import Bowls
from gensweep.measures.adaptive_sharpness import AdaptiveSharpness
from gensweep.measures.expected_sharpness import ACCURACY_DROP, ExpectedSharpness, tolerated
from gensweep.measures.llc import LLC
from gensweep.measures.magnitude_sharpness import MagnitudeSharpness
from gensweep.measures.perturbation import Perturbation
from gensweep.rng import Stream
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.verdict import as_bound, by_interval, by_stderr, from_above, within

SCALE = 0.1


def cases() -> Iterator[Case]:
    """Mean rises under Gaussian and uniform noise, and the noise that an accuracy bears."""
    for n in (10, 100, 1000):
        share = 1.0 if n < 1000 else 0.25
        h_P, centre_P = np.geomspace(1, 10, n), torch.from_numpy(np.linspace(-1, 1, n))
        bowl = Bowls(h_P, base=0.3, centre=0.98 * centre_P)  # a slope, which the mean must not see
        size = centre_P.abs().numpy()
        for measure, answers in (
            ("expected_sharpness", expected),
            ("perturbation", altered),
            ("adaptive_sharpness", average),
        ):
            yield Case(measure, f"a bowl, n = {n}", answers(h_P, size, centre_P), bowl, share)
    for n in (20, 200):
        yield Case("expected_sharpness", f"{n} examples that noise flips", tolerance(n), share=0.25)
    for n, floor in ((200, 0.0), (200, 0.3), (400, 0.3)):
        problem = f"{n} weights with an example each, ε = {floor:g}"
        yield Case("magnitude_sharpness", problem, magnitude(n, floor), share=0.1)
    for n, draws, share in ((3, 200, 1.0), (30, 400, 0.1)):
        h_P = np.linspace(1, 1.5, n)
        yield Case("llc", f"a bowl, n = {n}", coefficient(h_P, draws), Bowls(h_P, base=0.7), share)


def expected(h_P: np.ndarray, size: np.ndarray, centre_P: Tensor):
    """E[rise] = ½ Σ hᵢσᵢ² with σᵢ = α(10|θᵢ| + 1)."""
    sigma = SCALE * (10 * size + 1)

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        rise, kl, *_ = ExpectedSharpness([SCALE]).curve(loss, centre_P, rng)
        yield Answer(rise, (h_P * sigma**2).sum() / 2, by_stderr)
        yield Answer(kl, (size**2 / sigma**2).sum() / 2, within(0.0))

    return answers


def altered(h_P: np.ndarray, size: np.ndarray, centre_P: Tensor):
    """E[rise] = ½s² Σ hᵢ, and ½s² Σ hᵢθᵢ² for relative noise."""
    truths = {"mean_loss_rise": h_P.sum(), "mean_relative_loss_rise": (h_P * size**2).sum()}

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in Perturbation(scale=SCALE).alter(loss, centre_P, rng):
            if row.quantity in truths:
                yield Answer(row, SCALE**2 / 2 * truths[row.quantity], by_stderr)

    return answers


def average(h_P: np.ndarray, size: np.ndarray, centre_P: Tensor):
    """E[rise] = ½ρ² Σ hᵢθᵢ² under Gaussian noise, a third of that under uniform noise."""
    truths = {"average_l2": (h_P * size**2).sum() / 2, "average_linf": (h_P * size**2).sum() / 6}
    measure = AdaptiveSharpness(rho=(SCALE, SCALE), steps=1, starts=1)

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in measure.search(loss, [], [], centre_P, rng, ""):
            if row.quantity in truths:
                yield Answer(row, SCALE**2 * truths[row.quantity], by_stderr)

    return answers


def tolerance(n: int):
    """An example is lost when its parameter has moved by 1, with probability 2Φ(−1/σ)."""
    truth = -1 / norm.ppf(ACCURACY_DROP / 2)

    def accuracies(points: Iterable[Tensor]) -> np.ndarray:
        return np.array([(theta_P.abs() < 1).double().mean().item() for theta_P in points])

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in tolerated(accuracies, torch.zeros(n, dtype=torch.float64), rng):
            if row.quantity == "pac_bayes_sigma":
                yield Answer(row, float(truth), by_interval)

    return answers


class Line(nn.Module):
    """Logits 0 and w·x."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(n, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """(N, n) → (N, 2)."""
        return torch.stack([torch.zeros(len(x)).to(x), x @ self.w], 1)


def one_each(n: int) -> tuple[Solution, Data]:
    """Example i is right while weight i is above 0; from 0.2 to 2, half as large before the training."""
    w_P = torch.linspace(0.2, 2, n, dtype=torch.float64)
    train = Split(np.eye(n, dtype=np.float32), np.ones(n, np.int64), np.arange(n))
    none = Split(train.x[:0], train.y[:0], train.index[:0])
    return Solution(Line(n), w_P, w_P / 2), Data(train, none, none, none, 2, np.zeros(1), np.ones(1))


def magnitude(n: int, floor: float):
    """Noise takes example i with probability Φ(−wᵢ/√(σ'²wᵢ² + ε²)), a box at α'wᵢ + ε = wᵢ."""
    solution, data = one_each(n)
    w = solution.theta_P.numpy()

    def drop(sigma: float) -> float:
        return norm.cdf(-w / np.sqrt(sigma**2 * w**2 + floor**2)).mean() - ACCURACY_DROP

    sigma = float(brentq(drop, 0.01, 10))
    noise2 = floor**2 + sigma**2 * w**2 / 4

    def bound(mean2: float) -> float:
        return np.log((floor**2 + (sigma**2 + 1) * mean2) / noise2).sum() / 4 + math.log(n / sigma) + 10

    alpha = 1 - floor / float(w[round(ACCURACY_DROP * n)])  # the smallest go first, and a tenth may
    truths = {
        "magnitude_sigma": (sigma, by_interval),
        "inverse_sigma_squared": (sigma**-2, by_interval),
        "pac_bayes_init": (bound((w**2).mean() / 4), by_interval),
        "pac_bayes_orig": (bound((w**2).mean()), by_interval),
        "magnitude_alpha": (alpha, from_above(1.1)),
        "inverse_alpha_squared": (alpha**-2, as_bound),
    }

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        for row in MagnitudeSharpness(floor=floor, steps=5, starts=1)(solution, data, rng):
            if row.quantity in truths:
                yield Answer(row, *truths[row.quantity])

    return answers


def coefficient(h_P: np.ndarray, draws: int):
    """½ Σ nβhᵢ/(nβhᵢ + γ)."""
    examples, gamma = 1000, 5.0
    heat = examples / math.log(examples)
    truth = float((heat * h_P / (heat * h_P + gamma)).sum()) / 2

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        zero_P = torch.zeros(len(h_P), dtype=torch.float64)
        for row in LLC(gamma=gamma, draws=draws).sample(loss, zero_P, examples, rng):
            if row.quantity == "llc" and row.index == -1:
                yield Answer(row, truth, by_stderr)

    return answers
