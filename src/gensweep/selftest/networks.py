"""Networks so small that margins, sampling errors and norms are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from torch import Tensor, nn

from gensweep.data.base import Data, Split
from gensweep.geometry.solution import Layout, Solution
from gensweep.measures.error import Error
from gensweep.measures.gradient import Gradient
from gensweep.measures.margin import Margin
from gensweep.measures.norms import Norms
from gensweep.measures.path_norms import PathNorms
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.verdict import by_interval, by_stderr, within

STEEP = 2.0  # margin per unit of the input


def cases() -> Iterator[Case]:
    """Sampling errors on two Gaussian classes; norms of convolutions as dense matrices and path by path."""
    for n, mean in ((100, 1.0), (1000, 1.0), (120, 2.33)):
        problem = f"Gaussian margins, {norm.cdf(mean):.0%} right, N = {n}"
        yield Case("error", problem, sampled(n, mean))
    for n, share in ((300, 1.0), (1000, 0.25)):
        yield Case("gradient", f"Gaussian margins, 69% right, N = {n}", gradients(n, 0.5), share=share)
        problem = f"Gaussian margins, N = {n}"
        yield Case("margin", problem, quantiles(n), share=share)
        yield Case("norms", problem, norms_over_margin(n), share=share)
        yield Case("path_norms", problem, paths_over_margin(n), share=share)
    for size in (4, 7, 12):
        yield Case("norms", f"a convolution of {2 * size**2} inputs as a matrix", operator(size), share=0.25)
    for size in (3, 4):
        yield Case("path_norms", f"every path of a net of {size**2} inputs", every_path(size), share=0.1)


def gaussian_split(n: int, mean: float, rng: Stream) -> Split:
    """Inputs N(mean, 1) of class 1."""
    return Split(rng.normal(n)[:, None] + np.float32(mean), np.ones(n, np.int64), np.arange(n))


def two_classes(train: Split, test: Split) -> tuple[Solution, Data]:
    """A linear network whose margin is 2x, and its data."""
    model = drawn(lambda: MLP((1,), 2, []), Stream(0)).double()
    theta_P = torch.tensor([-STEEP / 2, STEEP / 2, 0.0, 0.0], dtype=torch.float64)
    none = Split(train.x[:0], train.y[:0], train.index[:0])
    return Solution(model, theta_P, theta_P.clone()), Data(
        train, none, none, test, 2, np.zeros(1), np.ones(1)
    )


def redrawn(n: int, mean: float, rng: Stream) -> tuple[Solution, Data]:
    """The network with its data drawn anew; the test set lies nearer to the boundary."""
    train = gaussian_split(n, mean, rng.child("train"))
    return two_classes(train, gaussian_split(2 * n, mean / 2, rng.child("test")))


def over_inputs(mean: float, f: Callable[[float], float]) -> float:
    """E f(x), x ~ N(mean, 1)."""
    return quad(lambda x: norm.pdf(x, mean) * f(x), mean - 12, mean + 12)[0]


def mean_loss(mean: float) -> float:
    """E[ln(1 + e^(−2x))]."""
    return over_inputs(mean, lambda x: np.logaddexp(0, -STEEP * x))


def sampled(n: int, mean: float):
    """Loss, accuracy and the gaps, beside those of all examples that there could be."""
    loss, right = {m: mean_loss(m) for m in (mean, mean / 2)}, norm.cdf([mean, mean / 2])
    truths = {
        ("loss", "train"): loss[mean],
        ("accuracy", "train"): right[0],
        ("gap_loss", ""): loss[mean / 2] - loss[mean],
        ("gap_error", ""): right[0] - right[1],
    }

    sparse = n * (1 - right[0]) < 5  # examples that are wrong carry the loss, and no error bar knows of them

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        for row in Error()(*redrawn(n, mean, rng), rng):
            if (row.quantity, row.split) in truths and not (sparse and "loss" in row.quantity):
                yield Answer(row, float(truths[row.quantity, row.split]), by_stderr)

    return answers


def wrong(x):
    """Probability of the class that an input is not of."""
    return expit(-STEEP * x)


def gradients(n: int, mean: float):
    """gᵢ = wrong(x)·(x, −x, 1, −1), and ⟨θ, gᵢ⟩ = −2x·wrong(x)."""
    slope2 = 2 * (over_inputs(mean, wrong) ** 2 + over_inputs(mean, lambda x: wrong(x) * x) ** 2)
    truths = {
        "gradient_variance": 2 * over_inputs(mean, lambda x: wrong(x) ** 2 * (x**2 + 1)) - slope2,
        "fisher_rao": STEEP * math.sqrt(over_inputs(mean, lambda x: (wrong(x) * x) ** 2)),
        "fisher_rao_model": STEEP * math.sqrt(over_inputs(mean, lambda x: wrong(x) * wrong(-x) * x**2)),
    }

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data = redrawn(n, mean, rng)
        x = data.train.x.astype(float)[:, 0]
        slope = math.sqrt(2 * (wrong(x).mean() ** 2 + (wrong(x) * x).mean() ** 2))
        for row in Gradient(examples=2 * n // 3)(solution, data, rng):
            if row.quantity in truths:
                yield Answer(row, truths[row.quantity], by_stderr)
            else:
                yield Answer(row, slope, within(1e-8))

    return answers


def margin_quantile(q: float) -> float:
    """Of the margins 2x, x ~ N(4, 1)."""
    return STEEP * (4 + float(norm.ppf(q)))


def quantiles(n: int):
    """Quantiles of the margins, beside those of all examples."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        for row in Margin([0.0, 0.25, 0.5])(*redrawn(n, 4.0, rng), rng):
            if row.quantity == "margin_p05":
                yield Answer(row, margin_quantile(0.05), by_stderr)
            elif row.x > 0:
                yield Answer(row, margin_quantile(row.x), by_stderr, f"{row.x:g}")

    return answers


def norms_over_margin(n: int):
    """∏‖W‖²/γ² of one layer with ‖W‖² = 2, whichever the norm."""
    gamma2 = 2 * math.log10(margin_quantile(0.05))
    of_weights = {
        "log10_l2": 2.0,
        "log10_spectral": 2.0,
        "log10_operator": 2.0,
        "log10_l2_bound": 4 * 2.0,
        "log10_spectral_bound": 2 * 2.0,
    }

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        for row in Norms()(*redrawn(n, 4.0, rng), rng):
            if row.quantity in of_weights:
                yield Answer(row, math.log10(of_weights[row.quantity]) - gamma2, by_stderr)

    return answers


def paths_over_margin(n: int):
    """Two paths of weight −1 and 1."""
    gamma2 = 2 * math.log10(margin_quantile(0.05))
    of_weights = {"log10_l1_path": 4.0, "log10_l2_path": 2.0}

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        for row in PathNorms()(*redrawn(n, 4.0, rng), rng):
            if row.quantity in of_weights:
                yield Answer(row, math.log10(of_weights[row.quantity]) - gamma2, by_stderr)

    return answers


def convolution(size: int, channels: int, rng: Stream) -> tuple[Solution, Data]:
    """A convolution with stride and padding on size × size inputs, then a linear layer; examples of zeros."""

    def build() -> nn.Module:
        first = nn.Conv2d(channels, 2, 2, stride=2, padding=1)
        side = (size + 2 - 2) // 2 + 1
        return nn.Sequential(first, nn.ReLU(), nn.Flatten(), nn.Linear(2 * side**2, 2))

    model = drawn(build, rng).double().eval()
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    x = np.zeros((1, channels, size, size), np.float32)
    part = Split(x, np.zeros(1, np.int64), np.arange(1))
    return Solution(model, theta_P, theta_P.clone()), Data(part, part, part, part, 2, np.zeros(1), np.ones(1))


def as_matrix(weight: Tensor, size: int) -> np.ndarray:
    """The convolution written out entry by entry, (outputs, inputs)."""
    outputs, inputs = weight.shape[:2]
    side = (size + 2 - 2) // 2 + 1
    matrix = np.zeros((outputs, side, side, inputs, size, size))
    for i, j, di, dj in product(range(side), range(side), range(2), range(2)):
        row, column = 2 * i + di - 1, 2 * j + dj - 1
        if 0 <= row < size and 0 <= column < size:
            matrix[:, i, j, :, row, column] += weight[:, :, di, dj].numpy()
    return matrix.reshape(outputs * side**2, -1)


def operator(size: int):
    """The norms of both layers, by dense singular values."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data = convolution(size, 2, rng.child("net"))
        kernel, last = (p.detach() for p in solution.model.parameters() if p.dim() > 1)
        truths = {
            ("l2_norm", -1): solution.theta_P.norm().item(),
            ("layer_operator", 0): np.linalg.svd(as_matrix(kernel, size), compute_uv=False)[0],
            ("layer_spectral", 0): np.linalg.svd(kernel.flatten(1).numpy(), compute_uv=False)[0],
            ("layer_frobenius", 0): math.sqrt(kernel.square().sum().item()),
            ("layer_spectral", 1): np.linalg.svd(last.numpy(), compute_uv=False)[0],
        }
        for row in Norms()(solution, data, rng):
            if (row.quantity, row.index) in truths:
                judge = by_interval if row.stderr else within(1e-9)
                yield Answer(row, float(truths[row.quantity, row.index]), judge, str(row.index))

    return answers


def every_path(size: int):
    """One path after the other, from an input over a hidden unit to an output."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data = convolution(size, 1, rng.child("net"))
        kernel, last = (p.detach() for p in solution.model.parameters() if p.dim() > 1)
        first, second = np.abs(as_matrix(kernel, size)), np.abs(last.numpy())
        paths = [a * b for row, out in zip(first, second.T, strict=True) for a, b in product(row, out)]
        truths = {
            "log10_l1_path_raw": 2 * math.log10(math.fsum(paths)),
            "log10_l2_path_raw": math.log10(math.fsum(p**2 for p in paths)),
        }
        for row in PathNorms()(solution, data, rng):
            if row.quantity in truths:
                yield Answer(row, truths[row.quantity], within(1e-9))

    return answers
