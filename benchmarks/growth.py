"""How the cost of each measure grows with what it is asked for.

``python benchmarks/growth.py`` times every curve of `CURVES` at its sizes, upwards in one round and downwards
in the next, in processor seconds of one thread; it prints the fitted exponents and keeps all in
``kept/growth.csv``, in about four minutes. The exponent p of seconds ∝ sizeᵖ is that of the medians over all
sizes. A fixed cost makes it smaller, so ``steepest`` is the slope of the three largest sizes alone. An
exponent above what is right for a curve ends with 1: a cache that overflows, or work done twice.

Where several processes share a job, the seconds are those of the busiest one.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import linregress

from cases import COLOUR, GREY, clusters, cnn, mlp, solution
from gensweep.geometry.risk import Risk
from gensweep.measures.basin import Basin
from gensweep.measures.box_sharpness import BoxSharpness
from gensweep.measures.norms import Norms
from gensweep.measures.path_norms import PathNorms
from gensweep.measures.perturbation import Perturbation
from gensweep.measures.surface import Surface
from gensweep.place import places
from gensweep.products import quick_products
from gensweep.ranks import joined
from gensweep.rng import Stream
from gensweep.train.pool import Pool
from gensweep.train.protocol import Protocol
from gensweep.train.stack import Stack

KEPT = Path(__file__).parent / "kept" / "growth.csv"
ROUNDS = 5
POINTS = 24  # that processes share
Job = Callable[[], object]  # what is timed, once everything that it needs is there


@dataclass(frozen=True)
class Curve:
    """One cost against one size.

    Args:
        measure, network, against: What is asked, of whom, and what grows.
        sizes: Ascending, over a decade or more.
        job: Makes the job of one size.
        most: Largest exponent that is right; above it is a bug.
    """

    measure: str
    network: str
    against: str
    sizes: Sequence[int]
    job: Callable[[int], Job]
    most: float = 1.05


@cache
def solved(width: int, count: int, convolutional: bool = False):
    """A network and its data."""
    shape = COLOUR if convolutional else GREY
    data = clusters(shape, count)
    return solution(cnn(width) if convolutional else mlp(width), data), data


def of(measure, *case: int | bool) -> Job:
    """All rows of a measure."""
    return lambda: list(measure(*solved(*case), Stream(0)))


def rays(directions: int, width: int, count: int, cutoffs: int = 4) -> Job:
    """The rays of a basin, without the volumes that are not made of them."""
    basin = Basin(np.linspace(0.2, 2.0, cutoffs).tolist(), directions=directions, rank=0, replicates=0)
    return lambda: any(row.quantity == "evaluations" for row in basin(*solved(width, count), Stream(0)))


def stack(networks: int) -> Job:
    """One epoch of 1,000 examples of a stack of networks."""
    pool = Pool.of([clusters(GREY, 1000)], torch.float32)
    protocol = Protocol(0.0, 100, partial(torch.optim.SGD, lr=0.01), max_epochs=10**6)
    stacked = Stack([mlp(20)() for _ in range(networks)], pool, protocol, [Stream(0)])

    def train() -> None:
        with quick_products():
            list(stacked.epoch())

    return train


def grid(points: int, *case: int | bool) -> Job:
    """A surface of at least so many points."""
    return of(Surface(points=round(points**0.5)), *case)


GRID = (9, 25, 81, 225, 625)
CURVES = [
    Curve("surface", "MLP-20", "grid points", GRID, lambda n: grid(n, 20, 2000)),
    Curve("surface", "CNN-8", "grid points", GRID[:4], lambda n: grid(n, 8, 500, True)),
    Curve("surface", "MLP-20", "examples", (1000, 2000, 4000, 8000, 16000, 32000),
          lambda n: grid(441, 20, n)),
    Curve("surface", "CNN-8", "examples", (500, 1000, 2000, 4000, 8000), lambda n: grid(9, 8, n, True)),
    Curve("surface", "MLP", "parameters", (32, 64, 128, 256, 512, 1024), lambda h: grid(25, h, 1000)),
    Curve("surface", "CNN", "parameters", (4, 8, 16, 32, 64), lambda h: grid(9, h, 500, True)),
    Curve("rays", "MLP-20", "directions", (2, 4, 8, 16, 32), lambda k: rays(k, 20, 500)),
    Curve("rays", "MLP-20", "cutoffs", (1, 2, 4, 8, 16), lambda c: rays(4, 20, 500, c)),
    Curve("rays", "MLP", "parameters", (32, 64, 128, 256, 512), lambda h: rays(2, h, 500)),
    Curve("perturbation", "MLP-20", "draws", (4, 8, 16, 32, 64),
          lambda k: of(Perturbation(scale=0.1, draws=k), 20, 2000)),
    Curve("box sharpness", "MLP", "parameters", (32, 64, 128, 256, 512),
          lambda h: of(BoxSharpness(epsilon=1e-3, starts=1), h, 1000)),
    Curve("norms", "MLP", "parameters", (64, 128, 256, 512, 1024), lambda h: of(Norms(), h, 500),
          most=2.0),  # exact singular values: h²·784 operations for 784·h weights
    Curve("path norms", "MLP", "parameters", (64, 128, 256, 512, 1024), lambda h: of(PathNorms(), h, 500)),
    Curve("training", "MLP-20", "networks", (4, 8, 16, 32, 64, 128), stack),
]  # fmt: skip


def actual(curve: Curve, size: int) -> int:
    """The size as the curve is drawn: scalars where a width was given."""
    if curve.against != "parameters":
        return size
    build = cnn(size) if curve.network == "CNN" else mlp(size)
    return sum(p.numel() for p in build().parameters())


def timed(job: Job) -> float:
    """Processor seconds, with the products that a run has."""
    with quick_products():
        began = time.process_time()
        job()
        return time.process_time() - began


def rows(curve: Curve, rounds: int = ROUNDS) -> pd.DataFrame:
    """Seconds at each size, with quartiles, and the fit."""
    jobs = {size: curve.job(size) for size in curve.sizes}
    for job in jobs.values():
        job()
    seconds: dict[int, list[float]] = {size: [] for size in jobs}
    for i in range(rounds):
        for size in list(jobs) if i % 2 == 0 else reversed(jobs):
            seconds[size].append(timed(jobs[size]))
    found = pd.DataFrame({"size": [actual(curve, size) for size in jobs]})
    for name, q in {"seconds": 0.5, "low": 0.25, "high": 0.75}.items():
        found[name] = [np.quantile(values, q) for values in seconds.values()]
    labels = {"measure": curve.measure, "network": curve.network, "against": curve.against}
    return found.assign(
        n_rounds=rounds, most=curve.most, **labels, **exponents(found["size"], found["seconds"])
    )


def exponents(sizes: Sequence[float], seconds: Sequence[float]) -> dict[str, float]:
    """The slope of seconds against sizes in logarithms with its standard error, and that of the last three.

    >>> exponents([1, 2, 4, 8], [1, 4, 16, 64])
    {'exponent': 2.0, 'stderr': 0.0, 'steepest': 2.0}
    """
    x, y = np.log(np.array(sizes, dtype=float)), np.log(np.array(seconds, dtype=float))
    fit = linregress(x, y)
    last = linregress(x[-3:], y[-3:]).slope
    return {"exponent": float(fit.slope), "stderr": float(fit.stderr), "steepest": float(last)}


def share(place, seconds) -> None:
    """One of the processes that share the points."""
    torch.set_num_threads(1)
    with joined(place, "cpu"):
        case, data = solved(8, 800, True)
        risk = Risk(case, data.train, data)
        risk.many([case.theta_P] * 2)
        seconds.put(timed(lambda: risk.many([case.theta_P] * POINTS)))


def processes(count: int) -> float:
    """Processor seconds of the busiest of so many processes that share `POINTS` losses."""
    context = multiprocessing.get_context("spawn")
    seconds = context.Queue()
    team = [context.Process(target=share, args=(place, seconds)) for place in places(count)]
    for process in team:
        process.start()
    found = [seconds.get(timeout=120) for _ in team]
    for process in team:
        process.join()
    return max(found)


def shared(rounds: int = 3) -> pd.DataFrame:
    """Seconds of one process, and of as many as there are cores."""
    counts = (1, max(2, multiprocessing.cpu_count()))
    seconds = np.array([[processes(n) for n in counts] for _ in range(rounds)])
    low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0)
    slope = float(np.log(middle[1] / middle[0]) / np.log(counts[1] / counts[0]))
    labels = {"measure": "many points", "network": "CNN-8", "against": "processes", "n_rounds": rounds}
    found = pd.DataFrame({"size": counts, "seconds": middle, "low": low, "high": high})
    return found.assign(**labels, exponent=slope, stderr=np.nan, steepest=np.nan, most=0.0)


def tables() -> Iterator[pd.DataFrame]:
    """Each curve, with a line about it."""
    for curve in CURVES:
        found = rows(curve)
        solved.cache_clear()
        yield found
    yield shared()


def main() -> int:
    """Print the exponents and keep the curves; 1 when one is a bug."""
    torch.set_num_threads(1)
    kept, bugs = [], []
    for found in tables():
        first = found.iloc[0]
        name = f"{first['measure']}, {first['network']}, against {first['against']}"
        print(
            f"{name}: {first['exponent']:.2f} ± {first['stderr']:.2f}, at last {first['steepest']:.2f}",
            flush=True,
        )
        kept.append(found)
        bugs += [name] * bool(max(first["exponent"], first["steepest"]) > first["most"])
    columns = ["measure", "network", "against", "size", "seconds", "low", "high", "n_rounds"]
    table = pd.concat(kept)[[*columns, "exponent", "stderr", "steepest"]]
    KEPT.parent.mkdir(exist_ok=True)
    table.to_csv(KEPT, index=False, float_format="%.4g", lineterminator="\n")
    for name in bugs:
        print(f"grows faster than it should: {name}")
    return int(bool(bugs))


if __name__ == "__main__":
    sys.exit(main())
