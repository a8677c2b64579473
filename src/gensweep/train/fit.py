"""One training, from the last checkpoint if there is one."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
from lightning import Callback
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.strategies import DDPStrategy

from gensweep import preemption
from gensweep.place import Place
from gensweep.ranks import Ranks
from gensweep.train.checkpoint import SafeCheckpointIO, usable
from gensweep.train.leave import Leave
from gensweep.train.task import Task

CHECKPOINT = "last.ckpt"


def fit(
    task: Task,
    folder: Path,
    write: Callable[[Path, bytes], None],
    callbacks: Sequence[Callback],
    logger: Any,
) -> None:
    """Train to the end of the budget, with a checkpoint after every check.

    Started again after a kill, it goes on from the last checkpoint and ends with the same bits.

    Args:
        task: What to train.
        folder: Where the checkpoint lies; it stays until the caller has committed the solution.
        write: Puts bytes at a path in one step.
        callbacks: Run in this order, before the checkpoint is written.
        logger: A Lightning logger, or none.

    Raises:
        Diverged: The loss is not finite; the checkpoint before that is still there.
        Preempted: The process was asked to end; the checkpoint is of this very update.
    """
    quieten()
    resume = folder / CHECKPOINT
    saved = ModelCheckpoint(
        folder,
        "last",
        every_n_epochs=task.protocol.check_every,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = lightning.Trainer(
        **hardware(task.ranks),
        max_epochs=task.protocol.max_epochs,
        callbacks=[*callbacks, saved, Leave(resume), *([RichProgressBar()] if on_terminal() else [])],
        logger=logger or False,
        plugins=[SafeCheckpointIO(write), Joined(task.ranks.place)],
        enable_progress_bar=on_terminal(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10**9,
    )
    there = task.ranks.agreed(task.ranks.writes and usable(resume))
    try:
        trainer.fit(task, ckpt_path=resume if there else None, weights_only=True)
    finally:
        preemption.patient(False)


def hardware(ranks: Ranks) -> dict[str, Any]:
    """Lightning's words for where this process computes, and with how many others."""
    place, kind = ranks.place, ranks.device.type
    if place.world == 1:
        return {"accelerator": kind, "devices": [ranks.device.index] if kind == "cuda" else 1}
    # The statistics of batch norm are the same everywhere (whole_batch.py): no buffers to send around.
    strategy = DDPStrategy(broadcast_buffers=False)
    nodes = place.world // place.locals
    return {"accelerator": kind, "devices": place.locals, "num_nodes": nodes, "strategy": strategy}


class Joined(LightningEnvironment):
    """Processes that have met already, whoever started them."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place

    @property
    def creates_processes_externally(self) -> bool:
        """Lightning starts none."""
        return True

    def local_rank(self) -> int:
        """Which on this machine."""
        return self.place.local

    def node_rank(self) -> int:
        """Which machine."""
        return self.place.rank // self.place.locals

    def teardown(self) -> None:
        """Leave the variables of whoever started this process as they are."""


def on_terminal() -> bool:
    """Whether somebody is watching, who gets a progress bar; a log gets lines."""
    return sys.stderr.isatty()


def quieten() -> None:
    """No adverts and no hints from third parties."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning.*")
