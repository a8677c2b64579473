"""How close each hot loop comes to what the machine can do.

``python benchmarks/limits.py`` first measures the peaks on the same machine in the same minute: products of
float32 matrices by MKL and by oneDNN, of float64 matrices, and how many bytes a second a sum and a triad
a + s·b move, from memory and from the cache. Then it runs each of `loops` and keeps in ``kept/limits.csv``:

- GFLOP and GB that its operations carried out and touched, counted operation by operation as they run; what
  stays in a cache counts like what comes from memory, which is why a loop may pass the bandwidth of memory;
- GFLOP of the plain way: all examples through the network as it is for every loss, three times that for a
  gradient, six times for a Hessian product; ``saved`` is plain over carried out;
- the fractions of the float32 peak and of the cache's bandwidth. The larger says what binds; where both are
  small, it is the calls themselves.

Seconds are processor seconds of one thread. With a GPU the same loops run there as well, timed by device
events with exact float32; this part has not been tried.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from cases import COLOUR, GREY, clusters, mlp, resnet20, solution
from gensweep.data.base import Data
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.measures.basin import Basin
from gensweep.measures.perturbation import Perturbation
from gensweep.measures.surface import Surface
from gensweep.products import quick_products
from gensweep.ranks import exactly
from gensweep.rng import Stream
from gensweep.train.pool import Pool
from gensweep.train.protocol import Protocol
from gensweep.train.stack import Stack

KEPT = Path(__file__).parent / "kept"
ROUNDS = 3
CPU = torch.device("cpu")
Job = Callable[[], object]


class Traffic(TorchDispatchMode):
    """Counts the bytes of what every operation reads and makes; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.bytes += sum(t.nbytes for t in tree_leaves((args, kwargs, out)) if isinstance(t, Tensor))
        return out


def counted(job: Job) -> tuple[float, float]:
    """GFLOP and GB of a job."""
    with Traffic() as traffic, FlopCounterMode(display=False) as flops:
        job()
    return flops.get_total_flops() / 1e9, traffic.bytes / 1e9


def seconds(job: Job, device: torch.device = CPU) -> float:
    """Processor seconds of one run of a job, or its seconds on the GPU."""
    if device.type == "cpu":
        began = time.process_time()
        job()
        return time.process_time() - began
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    job()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def best(job: Job, device: torch.device, rounds: int = 7) -> float:
    """The least seconds, which is what a peak is made of."""
    job()
    return min(seconds(job, device) for _ in range(rounds))


def peaks(device: torch.device = CPU) -> dict[str, float]:
    """GFLOP/s of matrix products, and GB/s of a sum and of a triad."""
    side = 1024 if device.type == "cpu" else 8192
    a, b = torch.rand(2, side, side, device=device)
    flop = 2 * side**3 / 1e9
    double = a.double(), b.double()
    found = {"float32 products, PyTorch's choice": flop / best(lambda: a @ b, device)}
    with quick_products():
        found["float32 products, oneDNN"] = flop / best(lambda: a @ b, device)
    found["float64 products"] = flop / best(lambda: double[0] @ double[1], device)
    for place, numbers in {"memory": 2**26, "cache": 2**16}.items():
        x, y, z = torch.rand(3, numbers, device=device)
        times = 2**26 // numbers
        found[f"sum, {place}"] = x.nbytes * times / 1e9 / best(partial(again, times, x.sum), device)
        triad = partial(torch.add, x, y, alpha=2.0, out=z)
        found[f"triad, {place}"] = 3 * x.nbytes * times / 1e9 / best(partial(again, times, triad), device)
    return found


def again(times: int, call: Job) -> None:
    """The same so many times."""
    for _ in range(times):
        call()


@dataclass(frozen=True)
class Loop:
    """A hot loop.

    Args:
        name, network: As the table has them.
        job: One run of it.
        plain: GFLOP of the plain way.
    """

    name: str
    network: str
    job: Job
    plain: float


def stack(device: torch.device) -> Loop:
    """Ten updates of 100 networks."""
    pool = Pool.of([clusters(GREY, 1280)], torch.float32)
    protocol = Protocol(0.0, 128, partial(torch.optim.SGD, lr=0.01), max_epochs=10**6)
    pool = Pool(
        pool.x.to(device), *([(i.to(device), y.to(device)) for i, y in p] for p in (pool.clean, pool.poison))
    )
    stacked = Stack([mlp(20)().to(device) for _ in range(100)], pool, protocol, [Stream(0)])

    def train() -> None:
        with quick_products():
            list(stacked.epoch())

    plain = 100 * 1280 * 3 * 2 * (784 * 20 + 20 * 10) / 1e9
    return Loop("stacked training, 100 networks", "MLP-20", train, plain)


def case(build: Callable[[], torch.nn.Module], shape: tuple[int, ...], count: int, device: torch.device):
    """A network, its data, and GFLOP of one loss."""
    data = clusters(shape, count)
    solved = solution(build, data, device=device)
    x = torch.zeros(1, *shape, device=device)
    with torch.no_grad():
        return solved, data, count * counted(lambda: solved.model(x))[0]


def loops(device: torch.device = CPU, share: int = 1) -> Iterator[Loop]:
    """All of them, with 1/share of the examples; each is made when its turn comes."""
    sizes = {
        "MLP-20": (mlp(20), GREY, 10_000),
        "MLP-512": (mlp(512), GREY, 2000),
        "ResNet-20": (resnet20, COLOUR, 500),  # fewer take the plain road
    }
    for network, (build, shape, count) in sizes.items():
        solved, data, once = case(build, shape, count // share, device)
        surface = Surface(points=3)
        yield Loop("surface", network, partial(every, surface, solved, data), 9 * once)
        basin = Basin(cutoffs=(1.0,), directions=1, rank=0, replicates=0)
        evaluations = partial(walked, basin, solved, data)
        yield Loop("rays", network, evaluations, evaluations() * once)
        altered = Perturbation(scale=0.1, draws=5)
        yield Loop("perturbation", network, partial(every, altered, solved, data), 12 * once)
        risk = Risk(solved, data.train, data)
        yield Loop("gradient", network, partial(risk.grad, solved.theta_P), 3 * once)
        product = risk.hvp(solved.theta_P)
        yield Loop("Hessian product", network, partial(product, torch.ones_like(solved.theta_P)), 6 * once)
    yield stack(device)


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    facts = {"processor": platform.processor() or platform.machine()}
    if (told := Path("/proc/cpuinfo")).exists():
        said = dict(
            line.split("\t: ", 1) for line in told.read_text().split("\n\n")[0].splitlines() if "\t: " in line
        )
        said = {key.strip(): value for key, value in said.items()}
        facts["processor"] = f"{said.get('model name', '')}, family {said.get('cpu family', '')}"
    cores = {"cores": str(os.cpu_count()), "PyTorch": torch.__version__, "Python": platform.python_version()}
    return facts | cores


def every(measure: Any, solved: Solution, data: Data) -> None:
    """All rows of a measure."""
    list(measure(solved, data, Stream(0)))


def walked(basin: Basin, solved: Solution, data: Data) -> float:
    """The losses that the rays of a basin took; the volumes that come after them are not worked out."""
    return next(row.value for row in basin(solved, data, Stream(0)) if row.quantity == "evaluations")


def reached(loop: Loop, product_peak: float, bandwidth: float, device: torch.device = CPU) -> dict[str, Any]:
    """The row of one loop, with the products that a run has."""
    with quick_products():
        loop.job()
        gflop, gigabytes = counted(loop.job)
        low, middle, high = np.quantile([seconds(loop.job, device) for _ in range(ROUNDS)], [0.25, 0.5, 0.75])
    fractions = {"of_products": gflop / middle / product_peak, "of_bandwidth": gigabytes / middle / bandwidth}
    return {
        "device": device.type, "loop": loop.name, "network": loop.network, "seconds": middle, "low": low,
        "high": high, "gflop": gflop, "gigabytes": gigabytes, "saved": loop.plain / gflop, **fractions,
    }  # fmt: skip


def main() -> None:
    """Print the tables and keep them."""
    torch.set_num_threads(1)
    devices = [CPU]
    if torch.cuda.is_available():
        exactly()
        devices.append(torch.device("cuda"))
    peaked, rows = [], []
    for device in devices:
        found = peaks(device)
        peaked += [{"device": device.type, "peak": name, "rate": rate} for name, rate in found.items()]
        most = max(rate for name, rate in found.items() if name.startswith("float32"))
        rows += [reached(loop, most, found["triad, cache"], device) for loop in loops(device)]
    KEPT.mkdir(exist_ok=True)
    facts = pd.DataFrame(machine().items(), columns=["fact", "value"])
    tables = {"machine": facts, "peaks": pd.DataFrame(peaked), "limits": pd.DataFrame(rows)}
    for name, table in tables.items():
        print(table.to_string(index=False, float_format="%.3g"))
        table.to_csv(KEPT / f"{name}.csv", index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    main()
