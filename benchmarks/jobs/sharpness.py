"""Gradients of the whole training set, and the search for the largest loss in a box."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.box import BALLS, box_maximum
from gensweep.geometry.risk import Risk
from patterns import gradient, highest_in_box
from ratios import Ratio, Way, compared, timed
from subjects import RNG, Subject, perceptron, residual

EPSILON, STEPS, ROUNDS = 1e-3, 20, 3
SEARCHED = {"mlp-20": 5000, "mlp-512": 5000, "resnet-20": 128}  # examples of a search
GOALS = {"mlp-20": 3.5, "mlp-512": 2.2, "resnet-20": 1.5}
SHARE = 0.8  # of a search at least is to be gradients
NEAR = 0.01  # of the rise, that ours may be below a search from the same start; starts differ by more
TOLERANCE = 1e-4  # of a gradient, relative to its length
KINKED = 5e-4  # of a residual net's: rounding turns ReLUs, and either way is 1.6e-4 from float64


def rows() -> Iterator[Ratio]:
    """Two perceptrons and a residual network."""
    for net in (perceptron(20, 60_000), perceptron(512, 10_000), residual(20, 500)):
        yield gradients(net)
        yield searched(net.first(SEARCHED[net.name]), resident=False)
    yield searched(perceptron(512, 10_000).first(5000), resident=True)
    yield from (own_share(net) for net in (perceptron(20, 60_000), perceptron(512, 10_000)))


def risk_of(net: Subject) -> Risk:
    """Its training loss."""
    return Risk(net.solution, net.data.train, net.data)


def gradients(net: Subject) -> Ratio:
    """A gradient against a DataLoader's."""
    risk, model = risk_of(net), copy.deepcopy(net.model)

    def apart(ours: tuple[float, Tensor], theirs: tuple[float, Tensor]) -> float:
        return float((ours[1] - theirs[1]).norm() / theirs[1].norm())

    return compared(
        *("gradient", net.name, "autograd over a DataLoader"),
        Way(lambda: [risk.grad(net.theta_P) for _ in range(2)][-1], 2),
        Way(lambda: gradient(model, net.loader)),
        *(apart, KINKED if "resnet" in net.name else TOLERANCE, GOALS[net.name], ROUNDS),
        note=f"per gradient; N={len(risk)}",
    )


class Reached(Exception):
    """The search has found what it was to find."""


class Until:
    """A loss that ends the search which first sees this value, and counts its gradients."""

    def __init__(self, risk: Risk, value: float) -> None:
        self.risk, self.value, self.seen = risk, value, list[float]()

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient."""
        found = self.risk.grad(theta_P)
        self.seen.append(found[0])
        if found[0] >= self.value:
            raise Reached
        return found


def searched(net: Subject, resident: bool) -> Ratio:
    """From one start, as long as ours needs for the value that ten iterations of L-BFGS-B find."""
    risk, model = risk_of(net), copy.deepcopy(net.model)
    half_width_P = EPSILON * (net.theta_P.abs() + 1)
    start_P = net.theta_P + half_width_P * BALLS["linf"].start(RNG.child("start", 0), net.theta_P)
    spent = [0]

    def walked(theta_P: Tensor) -> tuple[float, Tensor]:
        spent[0] += 1
        if resident:
            return risk.grad(theta_P)
        torch.nn.utils.vector_to_parameters(theta_P, model.parameters())
        return gradient(model, net.loader)

    def theirs() -> tuple[float, int]:
        spent[0] = 0
        return highest_in_box(walked, net.theta_P, half_width_P, start_P), spent[0]

    target = theirs()[0]

    def ours() -> tuple[float, int]:
        until: Any = Until(risk, target)
        with contextlib.suppress(Reached):
            box_maximum(until, net.theta_P, half_width_P, RNG, STEPS, starts=1)
        return max(until.seen), len(until.seen)

    base = risk(net.theta_P)
    return compared(
        *("box sharpness to equal value", net.name),
        "scipy L-BFGS-B, " + ("our gradients" if resident else "DataLoader"),
        *(Way(ours), Way(theirs)),
        lambda a, b: max(0.0, b[0] - a[0]) / (b[0] - base),
        NEAR,
        rounds=ROUNDS,
        note=lambda a, b: (
            f"rise {a[0] - base:.4g} with {a[1]} G against {b[0] - base:.4g} with {b[1]} G; N={len(risk)}"
        ),
    )


class Watched:
    """A loss whose gradients are timed."""

    def __init__(self, risk: Risk) -> None:
        self.risk, self.seconds = risk, 0.0

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient."""
        began = time.process_time()
        found = self.risk.grad(theta_P)
        self.seconds += time.process_time() - began
        return found


def own_share(net: Subject) -> Ratio:
    """How much of a search goes into gradients; the rest is the optimiser's own."""
    risk, shares = risk_of(net), []
    for _ in range(5):
        watched: Any = Watched(risk)
        half_width_P = EPSILON * (net.theta_P.abs() + 1)
        search = Way(lambda w=watched, h=half_width_P: box_maximum(w, net.theta_P, h, RNG, STEPS, starts=1))
        whole, _ = timed(search)
        shares.append(watched.seconds / whole)
    low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75]).tolist()
    note = f"share of a search of {STEPS} steps that is gradients; N={len(risk)}"
    return Ratio("gradients' share", net.name, "our own search", 5, middle, low, high, SHARE, 0.0, 0.0, note)
