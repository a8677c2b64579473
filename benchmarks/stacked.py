"""What one update of one 784-20-10 network costs, alone and in a stack, side by side in one process.

Every round trains each way for two epochs and takes the processor time of the second, without evaluation,
checkpoint or set-up; the order of the ways turns round from one round to the next. Ratios are of one round.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
import torch.nn.functional as F
from lightning import Callback
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from gensweep.data.base import Data, Source
from gensweep.data.corrupt import draw
from gensweep.data.images import Images
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.products import quick_products
from gensweep.rng import Stream
from gensweep.table.atomic import write_atomically
from gensweep.train.fit import fit, quieten
from gensweep.train.pool import Pool
from gensweep.train.stack import Stack
from gensweep.train.task import Protocol, Task
from ratios import quartiles

ROUNDS, STEPS, BATCH = 7, 150, 128
SHARED, OWN = 100, 8  # networks in a stack; with data of their own, a sweep puts no more into one
FIRST, PLAIN = "Lightning, our Task", "plain PyTorch loop"
BARE, LOGGED = "Lightning, bare, DataLoader", "Lightning, logging, DataLoader"
STACK, OWN_STACK = f"stack of {SHARED}, one order", f"stack of {OWN}, own data"


def sgd(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """The optimiser of all ways."""
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


PROTOCOL = Protocol(poison_factor=0.0, batch_size=BATCH, optimiser=sgd, max_epochs=2, check_every=2)


def source() -> tuple[str, Source]:
    """MNIST where it is, else noise of its shape."""
    folder = os.environ.get("GENSWEEP_DATA")
    if folder:
        return "MNIST", Images("mnist").load(Path(folder), Stream(0))
    x = np.random.default_rng(0).integers(256, size=(60_000, 1, 28, 28), dtype=np.uint8)
    y = np.random.default_rng(1).integers(10, size=60_000)
    mean, std = np.array([127.5], np.float32), np.array([73.6], np.float32)
    return "noise", Source(x, y, x[:1000], y[:1000], 10, mean, std)


def data(whole: Source, seed: int) -> Data:
    """The examples of one data seed."""
    return draw(whole, Stream(seed), train_size=STEPS * BATCH)


def network(seed: int) -> MLP:
    """A network."""
    return drawn(lambda: MLP((1, 28, 28), 10, [20]), Stream(seed))


class Clock(Callback):
    """Processor seconds of the second epoch, before its evaluation."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin."""
        self.began = time.process_time()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """End; callbacks come before the module."""
        self.seconds = time.process_time() - self.began


def ours(given: Data) -> float:
    """`fit`, as `gensweep run` calls it."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            Task(network(0), given, PROTOCOL, Stream(0)),
            Path(folder),
            write_atomically,
            [clock],
            logger=False,
        )
    return clock.seconds / STEPS


class Bare(lightning.LightningModule):
    """As in a tutorial, and nothing logged."""

    def __init__(self) -> None:
        super().__init__()
        self.model = network(0)

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """The loss."""
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The optimiser."""
        return sgd(self.parameters())


def bare(x: torch.Tensor, y: torch.Tensor) -> float:
    """Lightning with a DataLoader."""
    clock, off = Clock(), {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        accelerator="cpu", max_epochs=2, callbacks=[clock], enable_progress_bar=False, **off
    )
    trainer.fit(Bare(), DataLoader(TensorDataset(x, y), BATCH, shuffle=True))
    return clock.seconds / STEPS


class Logged(Bare):
    """The same, with a loss and an accuracy logged at every step."""

    def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
        """The loss."""
        logits = self.model(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        self.log("loss", loss)
        self.log("accuracy", (logits.argmax(1) == batch[1]).float().mean())
        return loss


def logged(x: torch.Tensor, y: torch.Tensor) -> float:
    """Lightning with a DataLoader, a CSV logger and checkpoints, as most people run it."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=2,
            callbacks=[clock],
            logger=CSVLogger(folder),
            default_root_dir=folder,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Logged(), DataLoader(TensorDataset(x, y), BATCH, shuffle=True))
    return clock.seconds / STEPS


def plain(x: torch.Tensor, y: torch.Tensor) -> float:
    """PyTorch alone, on tensors that stay where they are."""
    model = network(0)
    optimiser = sgd(model.parameters())
    for _ in range(2):
        began = time.process_time()
        for chosen in torch.randperm(len(y)).split(BATCH):
            optimiser.zero_grad()
            F.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimiser.step()
    return (time.process_time() - began) / STEPS


def stacked(pool: Pool, size: int, quick: bool = True) -> float:
    """Our stack."""
    orders = [Stream(seed) for seed in range(len(pool.clean))]
    stack = Stack([network(seed) for seed in range(size)], pool, PROTOCOL, orders)
    with quick_products() if quick else contextlib.nullcontext():
        for _ in range(2):
            began = time.process_time()
            assert not list(stack.epoch())
    return (time.process_time() - began) / STEPS / size


def measured(rounds: int) -> list[dict[str, float]]:
    """Milliseconds of processor time per network and update, each way of each round."""
    _, whole = source()
    one = data(whole, 0)
    shared, own = Pool.of([one], torch.float32), Pool.of((data(whole, s) for s in range(OWN)), torch.float32)
    x, y = shared.x[shared.clean[0][0]].view(-1, 1, 28, 28), shared.clean[0][1]
    ways: dict[str, Callable[[], float]] = {
        FIRST: functools.partial(ours, one),
        BARE: functools.partial(bare, x, y),
        LOGGED: functools.partial(logged, x, y),
        PLAIN: functools.partial(plain, x, y),
        STACK: functools.partial(stacked, shared, SHARED),
        f"{STACK}, MKL": functools.partial(stacked, shared, SHARED, False),
        OWN_STACK: functools.partial(stacked, own, OWN),
    }
    found = []
    for i in range(rounds):
        order = list(ways) if i % 2 else list(reversed(ways))
        taken = {way: 1e3 * ways[way]() for way in order}
        found.append({way: taken[way] for way in ways})
    return found


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    quieten()
    rounds = measured(ROUNDS)
    print(f"{source()[0]}, {STEPS} updates of {BATCH}, {ROUNDS} rounds, median (quartiles), one thread\n")
    print("| way | ms of CPU per network and update | times our Task | times bare Lightning |")
    print("|---|---|---|---|")
    for way in rounds[0]:
        low, middle, high = quartiles([r[way] for r in rounds])
        cells = [f"{middle:.3f} ({low:.3f}–{high:.3f})"]
        for base in (FIRST, BARE):
            low, middle, high = quartiles([r[base] / r[way] for r in rounds])
            cells.append(f"{middle:.1f} ({low:.1f}–{high:.1f})")
        print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
