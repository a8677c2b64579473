"""How much memory measures of 15-million-parameter networks take beyond the network, its data and one loss.

``python benchmarks/memory.py`` runs each of `USUAL` in a process of its own, in about four minutes, and keeps
the rows in ``kept/memory.csv``: the highest resident memory of the process less that of one that evaluates
the loss once, in MiB. ``python benchmarks/memory.py "wide MLP" rays 1000`` adds one row, or renews it; so
many rays of such a network, or a subspace of 100 dimensions, take a quarter of an hour and more. The search
in a subspace is cut to one start of one step: what it holds grows with neither.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import torch

from cases import COLOUR, clusters, solution, vgg16, wide_mlp
from gensweep.geometry.risk import Risk
from gensweep.measures.basin import Basin
from gensweep.measures.box_sharpness import BoxSharpness
from gensweep.measures.surface import Surface
from gensweep.rng import Stream

KEPT = Path(__file__).parent / "kept" / "memory.csv"
LIMIT = 2048  # MiB
EXAMPLES = 10
NETWORKS = {"wide MLP": wide_mlp, "VGG-16": vgg16}
USUAL = (("surface", 3), ("rays", 4), ("rays", 16), ("subspace", 4), ("subspace", 8))


def surface(solved, data, points: int) -> None:
    """A surface of so many points per axis."""
    list(Surface(points=points)(solved, data, Stream(0)))


def rays(solved, data, count: int) -> None:
    """So many rays to one cutoff; the rows that come after the rays are not asked for."""
    basin = Basin(cutoffs=(1.0,), directions=count, min_radius=0.05, scan_points=6, rank=0, replicates=0)
    assert any(row.quantity == "evaluations" for row in basin(solved, data, Stream(0)))


def subspace(solved, data, dimensions: int) -> None:
    """One step of the search for the largest loss in a subspace of so many dimensions."""
    risk = Risk(solved, data.train, data)
    sharpness = BoxSharpness(epsilon=1e-3, subspace=dimensions, steps=1, starts=1)
    list(sharpness.search_subspace(risk, solved.theta_P, Stream(0), risk(solved.theta_P)))


def alone(solved, data, count: int) -> None:
    """The loss once, as every job does too."""


JOBS: dict[str, Callable[..., None]] = {
    "loss": alone, "surface": surface, "rays": rays, "subspace": subspace,
}  # fmt: skip


def peak() -> float:
    """The highest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(network: str, job: str, count: int) -> None:
    """Do one job; print the parameters, the highest memory and the processor seconds."""
    torch.set_num_threads(1)
    data = clusters(COLOUR, EXAMPLES)
    solved = solution(NETWORKS[network], data, steps=0)
    Risk(solved, data.train, data)(solved.theta_P)
    began = time.process_time()
    JOBS[job](solved, data, count)
    print(len(solved.theta_P), peak(), time.process_time() - began)


def taken(network: str, job: str, count: int) -> list[float]:
    """Parameters, highest memory in MiB and processor seconds of a process that does one job."""
    words = [sys.executable, __file__, "child", network, job, str(count)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in said.split()]


def measured(network: str, job: str, count: int) -> dict[str, str | int | float]:
    """The row of one job."""
    _, least, _ = taken(network, "loss", 1)
    parameters, most, seconds = taken(network, job, count)
    row = {"network": network, "parameters": int(parameters), "job": job, "count": count}
    return row | {"mebibytes": round(most - least), "cpu_seconds": round(seconds, 1), "limit": LIMIT}


def keep(row: dict[str, str | int | float]) -> None:
    """Put a row into the table, in place of the one it had for the same job."""
    rows = [pd.read_csv(KEPT)] if KEPT.exists() else []
    table = pd.concat([*rows, pd.DataFrame([row])])
    key = ["network", "job", "count"]
    table = table.drop_duplicates(key, keep="last").sort_values(key)
    table.to_csv(KEPT, index=False, lineterminator="\n")


def main(jobs: Iterable[tuple[str, str, int]]) -> None:
    """Measure these and keep them; 1 when one takes more than it may."""
    rows = []
    for job in jobs:
        rows.append(measured(*job))
        keep(rows[-1])
        print(*rows[-1].values(), flush=True)
    sys.exit(any(row["mebibytes"] > LIMIT for row in rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif sys.argv[1:]:
        main([(sys.argv[1], sys.argv[2], int(sys.argv[3]))])
    else:
        main([(network, *job) for network in NETWORKS for job in USUAL])
