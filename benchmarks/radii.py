"""What a radius costs, ours and as others search for it: losses and processor time, in one process.

Along the same rays of the same networks, five cutoffs each, to the tolerance of a volume (0.01/n, 1e-6 at
most) and to 1 %. Ours is `Rays`, as a `Basin` asks it, and certifies each radius by a point on either side.
Beside it, on a plain loop over tensors that stay where they are: each cutoff by itself, doubling from 0.001
and then bisection or Brent's method (scipy's brentq); and steps of 1 %, told beforehand where to begin.

And the pattern of gen-viz, which is TensorFlow and so written anew: 12 points per ray, spaced quadratically
up to the largest radius of any ray, each a pass of a DataLoader in batches of 128; then straight lines.

Every round takes each way once, in turn forwards and backwards; a ratio is of one round.

python benchmarks/radii.py [FILE.csv]      about three minutes; the rows are kept in the file
"""

from __future__ import annotations

import csv
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor, nn
from torch.nn.utils import vector_to_parameters
from torch.utils.data import DataLoader, TensorDataset

from gensweep.data.base import Data, Source
from gensweep.data.corrupt import draw
from gensweep.data.digits import Digits
from gensweep.data.images import Images
from gensweep.data.resident import resident
from gensweep.geometry.metric import METRICS
from gensweep.geometry.rays import Rays
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.mlp import MLP
from gensweep.products import quick_products
from gensweep.rng import Stream

CUTOFFS = np.array([0.1, 0.5, 1.0, 1.5, 2.0])
SCAN = np.geomspace(1e-3, 10.0, 37)  # of `Basin`
ROUNDS, COARSE = 3, 0.01
ROUNDING = 5e-7  # float32 settles a radius to about a fifth of this
OURS = "gensweep"
COLUMNS = ("network", "rays", "way", "losses per ray", "ms per ray")
COLUMNS += ("times our losses", "times our ms", "from", "to", "largest error", "allowed")
Loss = Callable[[float], float]  # the loss at a radius of one ray


@dataclass(frozen=True)
class Case:
    """A trained network, its loss in a loop that anybody would write, and its rays."""

    name: str
    rays: Rays
    model: nn.Module
    x: Tensor
    y: Tensor
    steps_KP: Tensor

    def along(self, ray: int, batches: list[tuple[Tensor, Tensor]] | DataLoader) -> Loss:
        """The loss along a ray, nats: weights into the network, then batch by batch."""

        @torch.no_grad()
        def loss(radius: float) -> float:
            vector_to_parameters(self.rays.theta_P + radius * self.steps_KP[ray], self.model.parameters())
            sums = [F.cross_entropy(self.model(x).double(), y, reduction="sum").item() for x, y in batches]
            return sum(sums) / len(self.y)

        return loss

    def resident(self, ray: int) -> Loss:
        """In batches of at most 1,000."""
        return self.along(ray, list(zip(self.x.split(1000), self.y.split(1000), strict=True)))

    def loaded(self, ray: int) -> Loss:
        """By a DataLoader in batches of 128."""
        return self.along(ray, DataLoader(TensorDataset(self.x, self.y), 128))


def case(name: str, model: nn.Module, data: Data, epochs: int, count: int) -> Case:
    """A network after some epochs of Adam, and rays from there."""
    x, y = resident(data.train, data, torch.device("cpu"), torch.float32)
    optimiser, order = torch.optim.Adam(model.parameters(), lr=2e-3), torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in torch.randperm(len(y), generator=order).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
    theta_P = Layout.of(model).pack(dict(model.named_parameters())).detach().clone()
    solution = Solution(model.eval(), theta_P)
    risk, metric = Risk(solution, data.train, data), METRICS["filter"](solution)
    base, rtol = risk(theta_P), min(1e-6, 0.01 / metric.dimensions)
    rays = Rays(risk, theta_P, metric, base, base + CUTOFFS, SCAN, rtol, count, Stream(0))
    steps_KP = torch.stack([metric.direction(Stream(0).child(k)) for k in range(count)])
    return Case(
        f"{name}, N = {len(y):,}, n = {metric.dimensions:,}, loss {base:.3f}", rays, model, x, y, steps_KP
    )


def cases() -> list[Case]:
    """Two perceptrons and a convolutional network."""
    folder = os.environ.get("GENSWEEP_DATA")
    mnist: Source | None = Images("mnist").load(Path(folder), Stream(0)) if folder else None
    digits = Digits().load(Path(), Stream(0))
    image, images = ((1, 28, 28), "MNIST") if mnist else ((1, 8, 8), "digits")
    few, more = (
        draw(mnist or digits, Stream(0), train_size=size) for size in (1000, 4000 if mnist else 1300)
    )
    small = drawn(lambda: MLP(image, 10, [20]), Stream(0))
    wide = drawn(lambda: MLP(image, 10, [512]), Stream(0))
    conv = drawn(lambda: CNN((1, 8, 8), 10, 16), Stream(0))
    return [
        case(f"perceptron of 20 units, {images}", small, more, 12, 10),
        case(f"perceptron of 512 units, {images}", wide, few, 8, 4),
        case("CNN, digits", conv, draw(digits, Stream(0), train_size=500), 30, 3),
    ]


@dataclass
class Found:
    """Radii (K, C), and the losses they took."""

    radius_KC: np.ndarray
    evaluations: int


def ours(case: Case, rtol: float) -> Found:
    """The middle of each bracket, with the products that a run has."""
    with quick_products():
        found = replace(case.rays, rtol=rtol).uniform()
    return Found(found.radius_KC + found.width_KC / 2, found.evaluations)


def each_alone(case: Case, rtol: float, close: Callable[[Loss, float, float, float], float]) -> Found:
    """Every cutoff of every ray by itself: double until it is crossed, then close in."""
    radius_KC, calls = np.empty((len(case.steps_KP), len(CUTOFFS))), 0
    for k in range(len(radius_KC)):
        loss = case.resident(k)
        for c, level in enumerate(case.rays.levels_C):

            def excess(radius: float, loss: Loss = loss, level: float = level) -> float:
                nonlocal calls
                calls += 1
                return loss(radius) - level

            radius = 1e-3
            while excess(radius) <= 0:
                radius *= 2
            radius_KC[k, c] = close(excess, radius / 2, radius, rtol)
    return Found(radius_KC, calls)


def bisection(excess: Loss, low: float, high: float, rtol: float) -> float:
    """Halve the bracket."""
    while high - low > rtol * low:
        middle = (low + high) / 2
        low, high = (low, middle) if excess(middle) > 0 else (middle, high)
    return (low + high) / 2


def brent(excess: Loss, low: float, high: float, rtol: float) -> float:
    """Both ends evaluated once more, as its users do."""
    return brentq(excess, low, high, xtol=rtol * low / 2, rtol=1e-15)


def in_steps(case: Case, first: float) -> Found:
    """Outwards by 1 % until the highest cutoff is crossed."""
    radius_KC, calls = np.empty((len(case.steps_KP), len(CUTOFFS))), 0
    for k in range(len(radius_KC)):
        loss, radius, open_ = case.resident(k), first, list(range(len(CUTOFFS)))
        while open_:
            here, calls = loss(radius), calls + 1
            while open_ and here > case.rays.levels_C[open_[0]]:
                radius_KC[k, open_.pop(0)] = radius / (1 + COARSE / 2)
            radius *= 1 + COARSE
    return Found(radius_KC, calls)


def twelve(case: Case, last: float) -> Found:
    """12 points up to ``last``, and straight lines between them."""
    points = last * np.linspace(0, 1, 13) ** 2
    radius_KC = np.empty((len(case.steps_KP), len(CUTOFFS)))
    for k in range(len(radius_KC)):
        loss = case.loaded(k)
        losses = np.array([case.rays.base, *map(loss, points[1:].tolist())])
        radius_KC[k] = np.interp(case.rays.levels_C, np.maximum.accumulate(losses), points)
    return Found(radius_KC, 12 * len(radius_KC))


def ways(case: Case, truth_KC: np.ndarray) -> dict[str, tuple[float, Callable[[], Found]]]:
    """Way → the error it allows itself, and how to go it; ours opens each group."""
    fine, first, last = case.rays.rtol, 0.9 * truth_KC.min(), truth_KC.max()
    return {
        OURS: (fine, lambda: ours(case, fine)),
        "each cutoff, bisection": (fine, lambda: each_alone(case, fine, bisection)),
        "each cutoff, Brent": (fine, lambda: each_alone(case, fine, brent)),
        f"{OURS}, 1 %": (COARSE, lambda: ours(case, COARSE)),
        "each cutoff, bisection, 1 %": (COARSE, lambda: each_alone(case, COARSE, bisection)),
        "steps of 1 %": (COARSE, lambda: in_steps(case, first)),
        "gen-viz's 12 points": (np.inf, lambda: twelve(case, last)),
    }


def row(way: str, tolerance: float, found: Found, ours: Found, truth_KC, ms: list, base: list) -> list[str]:
    """What a way took and how far it was off."""
    rays, error = len(truth_KC), np.abs(found.radius_KC / truth_KC - 1).max()
    ratios = [a / b for a, b in zip(ms, base, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    numbers = [found.evaluations / rays, statistics.median(ms) / rays, found.evaluations / ours.evaluations]
    texts = [f"{n:.3g}" for n in (*numbers, middle, low, high)]
    allowed = "" if np.isinf(tolerance) else f"{tolerance + ROUNDING:.1g}"
    return [str(rays), way, *texts, f"{error:.1g}", allowed]


def compare(case: Case) -> list[list[str]]:
    """One network's rows."""
    truth_KC = ours(case, case.rays.rtol).radius_KC
    all_ways, found = ways(case, truth_KC), dict[str, Found]()
    ms: dict[str, list[float]] = {way: [] for way in all_ways}
    for i in range(ROUNDS):
        for way in list(all_ways) if i % 2 else reversed(all_ways):
            began = time.process_time()
            found[way] = all_ways[way][1]()
            ms[way].append(1e3 * (time.process_time() - began))
    rows, base = [], OURS
    for way, (tolerance, _) in all_ways.items():
        base = way if way.startswith(OURS) else base
        rows.append([case.name, *row(way, tolerance, found[way], found[base], truth_KC, ms[way], ms[base])])
    return rows


def main(words: list[str]) -> int:
    """Print the rows; 1 when radii are further off than a way allows itself."""
    torch.set_num_threads(1)
    rows = []
    for network in cases():
        for cells in compare(network):
            rows.append(cells)
            print(*cells, sep=" | ", flush=True)
    if words:
        with open(words[0], "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    return int(any(cells[-1] and float(cells[-2]) > 1.05 * float(cells[-1]) for cells in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
