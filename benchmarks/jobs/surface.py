"""The loss and the accuracy over a plane of two filter-normalised directions."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gensweep.geometry.metric import li_direction
from gensweep.measures.surface import Surface
from patterns import Pictures, evaluated, moved
from ratios import ROUNDS, Ratio, Way, compared
from subjects import BATCH, RNG, Subject, perceptron, residual

JOB = "surface"
POINTS = 21  # per side, of a perceptron
TOLERANCE = 1e-5  # of a loss, relative
Grid = dict[tuple[float, float], tuple[float, float]]  # place → loss, accuracy


def rows() -> Iterator[Ratio]:
    """A residual network and two perceptrons.

    The residual network comes first: what a forward pass of all images at once leaves behind in the
    allocator makes every later pass in small batches faster, theirs and ours.
    """
    net = residual(20, 2000)
    ours = Way(lambda: surface(net, 2), 4)
    yield walked(net, ours, 2, 1, goal=1.5, rounds=3)
    yield walked(net, ours, 2, 1, shipped=True, rounds=2)
    yield library(net, ours, 2, goal=4, rounds=2)
    for net, far, near in ((perceptron(20, 60_000), 100, 25), (perceptron(512, 10_000), 35, 25)):
        ours = Way(lambda net=net: surface(net, POINTS), POINTS**2)
        yield walked(net, ours, POINTS, 4, goal=far)
        yield library(net, ours, 3, goal=near)


def surface(net: Subject, points: int) -> Grid:
    """Ours."""
    found: dict[str, dict[tuple[float, float], float]] = {"loss": {}, "accuracy": {}}
    for row in Surface(points)(net.solution, net.data, RNG):
        found[row.quantity][row.x, row.y] = row.value
    return {place: (loss, found["accuracy"][place]) for place, loss in found["loss"].items()}


def weights_at(net: Subject, place: tuple[float, float]) -> tuple[list[Tensor], list[Tensor]]:
    """The weights at the centre, and the step to a place of our plane."""
    unpack = net.solution.layout.unpack
    d1, d2 = (li_direction(net.solution.layout, net.theta_P, RNG.child("direction", i)) for i in (0, 1))
    step = unpack(place[0] * d1 + place[1] * d2)
    return list(unpack(net.theta_P).values()), list(step.values())


def places(points: int, count: int) -> list[tuple[float, float]]:
    """A few places of a grid over [−1, 1]², evenly spread along its rows."""
    axis = torch.linspace(-1, 1, points, dtype=torch.float64).tolist()
    every = [(x, y) for y in axis for x in axis]
    return [every[(2 * k + 1) * len(every) // (2 * count)] for k in range(count)]


def apart(net: Subject, ours: Grid, theirs: Grid) -> float:
    """The largest relative difference of a loss; of an accuracy, what goes beyond two examples."""
    found = []
    for place, (loss, accuracy) in theirs.items():
        x, y = min(ours, key=lambda p: abs(p[0] - place[0]) + abs(p[1] - place[1]))
        own_loss, own_accuracy = ours[x, y]
        found += [abs(own_loss - loss) / loss, abs(own_accuracy - accuracy) - 2 / len(net.data.train)]
    return max(found)


def walked(
    net: Subject,
    ours: Way,
    points: int,
    count: int,
    goal: float | None = None,
    rounds: int = ROUNDS,
    shipped: bool = False,
) -> Ratio:
    """Against loss-landscape: every weight set, then a DataLoader, at a few places of our grid."""
    model = copy.deepcopy(net.model)

    def theirs() -> Grid:
        loader = DataLoader(Pictures(net.data), BATCH) if shipped else net.loader
        found = {}
        for place in places(points, count):
            moved(model, *weights_at(net, place))
            found[place] = evaluated(model, loader)
        return found

    peer = "loss-landscape pattern" + (", PIL" if shipped else "")
    note = f"per point, {points}² against {count}; N={len(net.data.train)}"
    if shipped:
        note += "; as shipped it has 2 workers, here none"
    return compared(
        *(JOB, net.name, peer, ours, Way(theirs, count), lambda a, b: apart(net, a, b), TOLERANCE),
        *(goal, rounds, note),
    )


def library(net: Subject, ours: Way, points: int, goal: float, rounds: int = ROUNDS) -> Ratio:
    """Against loss-landscapes, which draws a plane of its own: its loss is compared at places of ours."""

    def theirs() -> Any:
        from loss_landscapes import random_plane
        from loss_landscapes.metrics import Loss

        metric = Loss(nn.CrossEntropyLoss(), *net.batch)
        return random_plane(net.model, metric, 1, points, normalization="filter", deepcopy_model=True)

    def off(grid: Grid, _: Any) -> float:
        from loss_landscapes.metrics import Loss
        from loss_landscapes.model_interface.model_wrapper import wrap_model

        metric, model, found = Loss(nn.CrossEntropyLoss(), *net.batch), copy.deepcopy(net.model), []
        for place in list(grid)[:: len(grid) // 3]:
            moved(model, *weights_at(net, place))
            found.append(abs(metric(wrap_model(model)) - grid[place][0]) / grid[place][0])
        return max(found)

    side = round(ours.units**0.5)
    note = f"per point, {side}² against {points}², its without accuracy; N={len(net.data.train)}"
    ways = ours, Way(theirs, points**2)
    return compared(JOB, net.name, "loss-landscapes 3.0.6", *ways, off, TOLERANCE, goal, rounds, note)
