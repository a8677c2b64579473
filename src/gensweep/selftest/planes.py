"""Losses and probabilities along lines and planes, of linear networks, and a training in a plane."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch
from scipy.special import expit

from gensweep.geometry.metric import li_direction
from gensweep.measures.boundary import Boundary
from gensweep.measures.curve import Curve
from gensweep.measures.interpolation import Interpolation
from gensweep.measures.perturbed_boundary import PerturbedBoundary
from gensweep.measures.slice import Slice
from gensweep.measures.surface import Surface
from gensweep.measures.trajectory import Trajectory
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.rows import Row
from gensweep.selftest.case import Answer, Case, Counted
from gensweep.selftest.networks import STEEP, redrawn, two_classes
from gensweep.selftest.verdict import within

ENDS = (-0.5, 0.0, 0.5)
Truth = Callable[[Row], float]


def cases() -> Iterator[Case]:
    """A filter-normalised direction lengthens or shortens a single weight; chance decides which."""
    for n in (50, 500):
        yield Case("slice", f"one weight, N = {n}", line(n), share=0.1)
        yield Case("surface", f"one weight, N = {n}", plane(n), share=0.1)
        yield Case("interpolation", f"an upturned parabola, N = {n}", parabola(n), share=0.1)
        yield Case("curve", f"one weight on its way, N = {n}", way(n), share=0.1)
    for points, n in ((8, 30), (40, 3000)):
        yield Case("trajectory", f"{points} points of a plane, n = {n}", path(points, n), share=0.1)
    for n in (2, 50):
        yield Case("boundary", f"a linear network, N = {n}", boundary(n), share=0.1)
        yield Case("perturbed_boundary", f"a linear network, N = {n}", perturbed(n), share=0.1)


def one_weight(n: int, rng: Stream):
    """A network with a single weight, and its loss and accuracy when that is stretched."""
    solution, data = redrawn(n, 1.0, rng)
    theta_P = torch.tensor([0.0, STEEP, 0.0, 0.0], dtype=torch.float64)
    x = data.train.x.astype(float)[:, 0]

    def stretched(by: float) -> tuple[float, float]:
        return float(np.logaddexp(0, -STEEP * (1 + by) * x).mean()), float((x > 0).mean())

    return replace(solution, theta_P=theta_P), data, stretched


def means(rows: list[Row], truths: list[float]) -> Iterator[Answer]:
    """Loss and accuracy, averaged over their rows."""
    for quantity, truth in zip(("loss", "accuracy"), truths, strict=True):
        value = float(np.mean([row.value for row in rows if row.quantity == quantity]))
        yield Answer(Row(quantity, value, split="train"), truth, within(1e-8))


def furthest(answers: Iterable[Answer]) -> Answer:
    """The one that is most wrong."""
    return max(answers, key=lambda answer: abs(answer.row.value - answer.truth))


def line(n: int):
    """Mean over both ends and the middle: the sign of the direction cancels."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data, stretched = one_weight(n, rng)
        rows = list(Slice(points=3, span=ENDS[-1])(solution, data, rng))
        yield from means(rows, np.mean([stretched(x) for x in ENDS], axis=0).tolist())

    return answers


def plane(n: int):
    """The same over the plane, where both directions lie on one line."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data, stretched = one_weight(n, rng)
        rows = list(Surface(points=3, span=ENDS[-1])(solution, data, rng))
        yield from means(rows, np.mean([stretched(x + y) for x in ENDS for y in ENDS], axis=0).tolist())

    return answers


def way(n: int):
    """The weight began with the wrong sign, was longest in the middle and ends with the wrong sign again."""
    lengths = {0: -1.0, 1: 2.0, 3: -0.5}

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data, _stretched = one_weight(n, rng)
        passed = {epoch: solution.layout.unpack(by * solution.theta_P) for epoch, by in lengths.items()}
        rows = list(Curve()(replace(solution, theta_P=-solution.theta_P, passed=passed), data, rng))
        for split in ("train", "test"):
            z = STEEP * data.splits()[split].x.astype(float)[:, 0]
            yield from most_wrong([row for row in rows if row.split == split], of_way(z, lengths), split)
        right = float((z > 0).mean())
        gain = next(row for row in rows if row.quantity == "early_stopping_gain")
        yield Answer(gain, max(2 * right - 1, 0.0), within(1e-8))

    return answers


def of_way(z: np.ndarray, lengths: dict[int, float]) -> dict[str, Truth]:
    """The truth of each row of a curve whose logits were these, times a length at each epoch."""
    return {
        "loss": lambda row: float(np.logaddexp(0, -lengths[int(row.x)] * z).mean()),
        "accuracy": lambda row: float((lengths[int(row.x)] * z > 0).mean()),
    }


def parabola(n: int):
    """The loss of a logit z = wx is −z², and w goes from 2 to −1: the barrier is ¼·9·E[x²], at w = ½."""
    start_P = torch.tensor([0.0, -1.0, 0.0, 0.0], dtype=torch.float64)

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        solution, data, _stretched = one_weight(n, rng)
        bent = replace(solution, init_P=start_P, loss=lambda z_NC, y_N: -z_NC[:, 1].square())
        rows = list(Interpolation()(bent, data, rng))
        for split in ("train", "test"):
            mean = float(np.square(data.splits()[split].x.astype(float)).mean())
            yield from most_wrong([row for row in rows if row.split == split], of_parabola(mean), split)

    return answers


def of_parabola(mean: float) -> dict[str, Truth]:
    """The truth of each row of an interpolation over inputs with this mean square."""
    return {"loss": lambda row: -mean * (STEEP - 3 * row.x) ** 2, "barrier": lambda row: mean * 9 / 4}


def most_wrong(rows: list[Row], truths: dict[str, Truth], note: str = "") -> Iterator[Answer]:
    """The row of each quantity that is furthest from what it should be."""
    for quantity, truth in truths.items():
        of_it = (row for row in rows if row.quantity == quantity)
        yield furthest(Answer(row, truth(row), within(1e-6), note) for row in of_it)


def path(points: int, n: int):
    """Points of a plane, turned and shifted: their distances, and what the components make of them."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        flat = rng.child("flat").normal(2 * points).reshape(points, 2).astype(float)
        axes = np.linalg.qr(rng.child("axes").normal(2 * n).reshape(n, 2).astype(float))[0]
        path_TP = torch.from_numpy(flat @ axes.T + rng.child("shift").normal(n))
        solution, data = redrawn(2, 0.0, rng)
        passed = replace(solution, theta_P=path_TP[-1], path_TP=path_TP)
        rows = list(Trajectory(perplexity=points)(passed, data, rng))  # too few points for t-SNE
        yield from most_wrong(rows, of_plane(flat))

    return answers


def of_plane(flat: np.ndarray) -> dict[str, Truth]:
    """The truth of each row of a trajectory with these coordinates."""
    _, spreads, axes = np.linalg.svd(flat - flat.mean(0))
    along = (flat - flat[-1]) @ axes.T
    along *= np.sign(along[np.abs(along).argmax(0), [0, 1]])
    shares = np.append(spreads**2 / (spreads**2).sum(), np.zeros(len(flat)))
    return {
        "distance": lambda row: float(np.linalg.norm(flat[row.index] - flat[int(row.x)])),
        "explained": lambda row: float(shares[row.index - 1]),
        "pca_1": lambda row: float(along[row.index, 0]),
        "pca_2": lambda row: float(along[row.index, 1]),
    }


def boundary(n: int):
    """The probability that is furthest from 1/(1 + e^(−w·x))."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        data = redrawn(n, 1.0, rng)[1]
        flat = replace(data.train, x=rng.child("x").normal(2 * n).reshape(n, 2))
        solution, data = two_classes(flat, flat)
        w = rng.child("w").normal(2).astype(float)
        theta_P = torch.tensor([*w, 0.0], dtype=torch.float64)
        model = MLP((2,), 2, [], single_logit=True).double()
        yield furthest(
            Answer(row, float(expit(w[0] * row.x + w[1] * row.y)), within(1e-8))
            for row in Boundary(points=5, span=2.0)(
                replace(solution, model=model, theta_P=theta_P), data, rng
            )
            if row.quantity == "probability"
        )

    return answers


def perturbed(n: int):
    """The curvature of a logistic regression where its weights were moved, in units of the weights' norm."""

    def answers(_: Counted, rng: Stream) -> Iterator[Answer]:
        data = redrawn(n, 1.0, rng)[1]
        flat = replace(data.train, x=rng.child("x").normal(2 * n).reshape(n, 2))
        solution, data = two_classes(flat, flat)
        w = rng.child("w").normal(2).astype(float)
        moved = replace(
            solution,
            model=MLP((2,), 2, [], single_logit=True).double(),
            theta_P=torch.tensor([*w, 0.0], dtype=torch.float64),
        )
        d = li_direction(moved.layout, moved.theta_P, rng.child("direction", 0)).numpy()[:2]

        def curvature(row: Row) -> float:
            p = expit(flat.x @ (w + row.x * d))
            hessian = (flat.x.T * (p * (1 - p))) @ flat.x / n
            return float(np.linalg.eigvalsh(hessian)[-1] * (w**2).sum())

        measured = PerturbedBoundary(steps=3, points=2, span=2.0)(moved, data, rng)
        rows = [row for row in measured if row.quantity == "curvature"]
        yield furthest(Answer(row, curvature(row), within(1e-6)) for row in rows)

    return answers
