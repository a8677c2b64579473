"""Twenty perturbations of each network, and the noise that a network bears."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gensweep.geometry.noise import gaussian
from gensweep.geometry.risk import Risk
from gensweep.measures.expected_sharpness import tolerated
from gensweep.measures.perturbation import Perturbation
from patterns import evaluated, moved, perturbed, tolerated_deviation
from ratios import Ratio, Way, compared
from subjects import RNG, Subject, perceptron

JOB = "20 perturbations"
SCALE, DRAWS = 0.05, 20
TOLERANCE = 1e-5  # of a loss, relative


def rows() -> Iterator[Ratio]:
    """Two small perceptrons, per evaluation of all examples; and one search on fewer."""
    nets = [perceptron(20, 60_000, seed) for seed in range(2)]
    risks = [risk_of(net) for net in nets]  # examples are ready, as theirs are
    bases = [risk(net.theta_P) for net, risk in zip(nets, risks, strict=True)]
    # Both kinds of noise, and the loss at the centre is left out of the count.
    ours = Way(lambda: [losses(*one) for one in zip(nets, risks, bases, strict=True)], len(nets) * 2 * DRAWS)
    for peer, theirs, count, goal, note in (
        ("loss-landscape pattern", set_and_walked, 3, 15, "DataLoader of 128"),
        ("r.-g.-measures pattern", added_and_walked, 1, 45, "noise added and taken off, DataLoader of 5000"),
    ):
        run = Way(lambda theirs=theirs, count=count: theirs(nets[0], count), count)
        told = f"per evaluation, {int(ours.units)} against {count}; {note}; N=60000"
        yield compared(JOB, "2 × mlp-20", peer, ours, run, apart, TOLERANCE, goal, note=told)
    yield library(nets, ours)
    yield searched(perceptron(20, 60_000).first(5000))


def risk_of(net: Subject) -> Risk:
    """Its training loss."""
    return Risk(net.solution, net.data.train, net.data)


def losses(net: Subject, risk: Risk, base: float) -> np.ndarray:
    """Ours: the loss under each draw of absolute noise."""
    found = Perturbation(scale=SCALE, draws=DRAWS).alter(risk, net.theta_P, RNG)
    return base + np.array([row.value for row in found if row.quantity == "loss_rise"])


def apart(ours: Sequence[np.ndarray], theirs: np.ndarray) -> float:
    """The largest relative difference of a loss of the first network."""
    return float(np.max(np.abs(ours[0][: len(theirs)] - theirs) / theirs))


def draws(net: Subject, count: int) -> list[Tensor]:
    """The steps that ours takes."""
    return [SCALE * gaussian(RNG.child("draw", k), net.theta_P) for k in range(count)]


def set_and_walked(net: Subject, count: int) -> np.ndarray:
    """As loss-landscape evaluates a point."""
    model, unpack = copy.deepcopy(net.model), net.solution.layout.unpack
    found = []
    for step_P in draws(net, count):
        moved(model, list(unpack(net.theta_P).values()), list(unpack(step_P).values()))
        found.append(evaluated(model, net.loader)[0])
    return np.array(found)


def added_and_walked(net: Subject, count: int) -> np.ndarray:
    """As robust-generalization-measures evaluates a perturbed network."""
    model = copy.deepcopy(net.model)
    loader = torch.utils.data.DataLoader(net.loader.dataset, 5000)
    found = []
    for step_P in draws(net, count):
        steps = iter(net.solution.layout.unpack(step_P).values())
        with perturbed(model, 1.0, lambda p, steps=steps: next(steps)):
            found.append(evaluated(model, loader)[0])
    return np.array(found)


def library(nets: Sequence[Subject], ours: Way) -> Ratio:
    """Against loss-landscapes, which draws noise of its own: its loss is compared under ours."""
    net = nets[0]

    def theirs() -> Any:
        from loss_landscapes.metrics import LossPerturbations
        from loss_landscapes.model_interface.model_wrapper import wrap_model

        metric = LossPerturbations(nn.CrossEntropyLoss(), *net.batch, DRAWS, SCALE)
        return metric(wrap_model(copy.deepcopy(net.model)))

    def off(found: Sequence[np.ndarray], _: Any) -> float:
        from loss_landscapes.metrics import Loss
        from loss_landscapes.model_interface.model_wrapper import wrap_model

        model, unpack = copy.deepcopy(net.model), net.solution.layout.unpack
        moved(model, list(unpack(net.theta_P).values()), list(unpack(draws(net, 1)[0]).values()))
        value = Loss(nn.CrossEntropyLoss(), *net.batch)(wrap_model(model))
        return apart(found, np.array([value]))

    note = f"per evaluation, {int(ours.units)} against {DRAWS}; its noise is its own; N=60000"
    return compared(
        JOB, "2 × mlp-20", "loss-landscapes 3.0.6", ours, Way(theirs, DRAWS), off, TOLERANCE, 4, note=note
    )


def searched(net: Subject) -> Ratio:
    """The whole search for the noise that costs a tenth of the examples."""
    risk = risk_of(net)

    def ours() -> dict[str, float]:
        found = tolerated(risk.accuracies, net.theta_P, RNG.child("sigma"))
        return {row.quantity: row.value for row in found}

    def theirs() -> tuple[float, int]:
        loader = torch.utils.data.DataLoader(net.loader.dataset, 5000)
        return tolerated_deviation(copy.deepcopy(net.model), loader)

    return compared(
        *("largest noise", net.name, "r.-g.-measures pattern", Way(ours), Way(theirs)),
        lambda a, b: abs(a["pac_bayes_sigma"] / b[0] - 1),
        0.15,
        rounds=2,
        note=lambda a, b: (
            f"{a['evaluations']:.0f} against {b[1]} evaluations; ours certifies its interval; N=5000"
        ),
    )
