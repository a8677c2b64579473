"""How many images a second each network trains on, in a run and in a plain PyTorch loop, as a Markdown table.

Three things take turns in one process, on one thread, A B C C B A: a fit with all that a run has around it; a
plain loop of the same steps on inputs laid out alike; and that loop on inputs as PyTorch lays them out by
default. What counts is process CPU time per step, so that other work on the machine does not. A ratio is the
median over rounds, its quartiles stand in brackets. Images are noise: none of it depends on what they show.

python benchmarks/training.py            all networks, about six minutes
python benchmarks/training.py mlp cnn    those of conf/model that begin like this
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning
import numpy as np
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from gensweep.data.base import Data, Split
from gensweep.models.build import drawn
from gensweep.parts import build
from gensweep.rng import Stream
from gensweep.table.store import write_atomically
from gensweep.train.callback import Progress
from gensweep.train.fit import fit
from gensweep.train.layout import memory_format
from gensweep.train.protocol import Protocol
from gensweep.train.task import Task

CONF = Path(__file__).parents[1] / "conf" / "model"
DIGITS, MNIST, COLOUR = (1, 8, 8), (1, 28, 28), (3, 32, 32)
TURN = 0.4  # seconds of steps per turn, at least
ROUNDS = 8  # of A B C C B A, while they fit into …
LIMIT = 14.0  # … seconds per network


@dataclass(frozen=True)
class Case:
    """One line of the table: a file of conf/model, what it is fed, and in batches of what size."""

    model: str
    shape: tuple[int, ...] = COLOUR
    batch: int = 64
    classes: int = 10


CASES = (
    Case("mlp", DIGITS),
    Case("mlp_swissroll", (2,), classes=2),
    Case("mlp_20", MNIST),
    Case("mlp_wide", MNIST),
    Case("keskar_f1", MNIST, 256),
    Case("cnn", DIGITS),
    Case("cnn"),
    Case("keskar_c1"),
    Case("keskar_c2", batch=32),
    Case("keskar_c3", classes=100),
    Case("keskar_c4", batch=32, classes=100),
    Case("vgg9", batch=32),
    Case("vgg_neyshabur", batch=32),
    Case("vgg16", batch=32),
    Case("vgg16_bn", batch=32),
    Case("resnet8", batch=128),
    Case("resnet20"),
    Case("resnet20_preactivation"),
    Case("resnet56", batch=32),
    Case("resnet110", batch=32),
)


class Clock(lightning.Callback):
    """CPU seconds of the steps of each epoch, batches included, and nothing but the steps."""

    def __init__(self) -> None:
        self.began, self.spent = 0.0, list[float]()

    def on_train_epoch_start(self, *given: object) -> None:
        """The steps begin."""
        self.began = time.process_time()

    def on_train_epoch_end(self, *given: object) -> None:
        """They have ended; the checks come next."""
        self.spent.append(time.process_time() - self.began)


@dataclass
class Bench:
    """One network, ready to be trained either way for any number of steps."""

    case: Case
    fixed: list[float] = field(default_factory=list)

    def model(self) -> nn.Module:
        """The network, always with the same weights."""
        settings = yaml.safe_load((CONF / f"{self.case.model}.yaml").read_text())
        return drawn(lambda: build(settings, self.data(1)), Stream(0))

    def data(self, steps: int) -> Data:
        """Noise for an epoch of this many steps."""
        n, rng = steps * self.case.batch, np.random.default_rng(0)
        x = rng.standard_normal((n, *self.case.shape), dtype=np.float32)
        train, one = (Split(x[:k], rng.integers(self.case.classes, size=k), np.arange(k)) for k in (n, 1))
        none = Split(x[:0], np.arange(0), np.arange(0))
        return Data(train, none, none, one, self.case.classes, mean=np.zeros(1), std=np.ones(1))

    def ours(self, steps: int) -> float:
        """Seconds per step of a fit of three epochs; what else it took goes into ``fixed``."""
        protocol = Protocol(0.0, self.case.batch, sgd, max_epochs=3)
        task, clock = Task(self.model(), self.data(steps), protocol, Stream(0)), Clock()
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            logger = CSVLogger(folder, name="log", flush_logs_every_n_steps=1000)
            fit(task, Path(folder), write_atomically, [Progress(lambda line: None), clock], logger)
            total = time.process_time() - began
        self.fixed.append(total - sum(clock.spent))
        return sum(clock.spent[1:]) / (2 * steps)  # the first epoch warms up

    def plain(self, steps: int, alike: bool) -> float:
        """Seconds per step of the loop that anyone would write."""
        data, model = self.data(steps), self.model()
        x, y = torch.from_numpy(data.train.x), torch.from_numpy(data.train.y)
        optimiser = sgd(model.parameters())
        form = memory_format(model) if alike else torch.contiguous_format
        self.epoch(model, optimiser, x, y, form)
        began = time.process_time()
        for _ in range(2):
            self.epoch(model, optimiser, x, y, form)
        return (time.process_time() - began) / (2 * steps)

    def epoch(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        x: Tensor,
        y: Tensor,
        form: torch.memory_format,
    ) -> None:
        """One pass."""
        for chosen in torch.randperm(len(y)).split(self.case.batch):
            loss = F.cross_entropy(model(x[chosen].contiguous(memory_format=form)), y[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def sgd(parameters: Iterator[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of either loop."""
    return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9)


def rounds(bench: Bench) -> np.ndarray:
    """Seconds per step, (rounds, 3): a fit, the plain loop on inputs laid out alike, the plain loop."""
    began = time.process_time()
    steps = max(1, round(TURN / 3 / bench.plain(1, alike=False)))
    turns: Sequence[Callable[[], float]] = (
        lambda: bench.ours(steps),
        lambda: bench.plain(steps, alike=True),
        lambda: bench.plain(steps, alike=False),
    )
    taken = []
    while len(taken) < 2 or (len(taken) < ROUNDS and time.process_time() - began < LIMIT):
        forth = [turn() for turn in turns]
        back = [turn() for turn in reversed(turns)][::-1]
        taken.append(np.add(forth, back) / 2)
    return np.array(taken)


def shown(ratios: np.ndarray) -> str:
    """Median and quartiles."""
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    return f"{middle:.2f} [{low:.2f}, {high:.2f}]"


def line(case: Case) -> str:
    """One network's line of the table."""
    bench = Bench(case)
    ours, alike, plain = rounds(bench).T
    cells = [
        case.model,
        "×".join(map(str, case.shape)),
        f"{case.batch}",
        f"{1e3 * np.median(ours):.3g}",
        *(f"{case.batch / np.median(times):,.0f}" for times in (ours, alike, plain)),
        shown(ours / alike),
        shown(plain / ours),
        f"{1e3 * np.median(bench.fixed):.0f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| network | input | batch | ms a step | images/s in a run | plain loop, laid out alike | plain loop "
    "| time over the loop laid out alike | speed over the plain loop | ms around the steps of 3 epochs |"
)


def main(wanted: Sequence[str]) -> None:
    """Print the table, line by line."""
    torch.set_num_threads(1)
    print(HEAD, "|---" * HEAD.count(" | ") + "|---|", sep="\n")
    for case in CASES:
        if not wanted or any(case.model.startswith(name) for name in wanted):
            print(line(case), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
