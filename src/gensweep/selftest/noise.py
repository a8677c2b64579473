"""Bowls under noise, and an accuracy that falls with the noise as it should."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor

from gensweep.known import Bowls
from gensweep.measures.adaptive_sharpness import AdaptiveSharpness
from gensweep.measures.expected_sharpness import ACCURACY_DROP, ExpectedSharpness, tolerated
from gensweep.measures.perturbation import Perturbation
from gensweep.rng import Stream
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.verdict import by_interval, by_stderr, within

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


def expected(h_P: np.ndarray, size: np.ndarray, centre_P: Tensor):
    """E[rise] = ½ Σ hᵢσᵢ² with σᵢ = α(10|θᵢ| + 1)."""
    sigma = SCALE * (10 * size + 1)

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        rise, kl = ExpectedSharpness([SCALE]).curve(loss, centre_P, rng)
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

    def accuracy(theta_P: Tensor) -> float:
        return (theta_P.abs() < 1).double().mean().item()

    def answers(loss: Counted, rng: Stream) -> Iterator[Answer]:
        for row in tolerated(accuracy, torch.zeros(n, dtype=torch.float64), rng):
            if row.quantity == "pac_bayes_sigma":
                yield Answer(row, float(truth), by_interval)

    return answers
