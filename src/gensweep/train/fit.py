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
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar

from gensweep.train.checkpoint import SafeCheckpointIO, usable
from gensweep.train.task import Task

CHECKPOINT = "last.ckpt"


def fit(
    task: Task,
    folder: Path,
    write: Callable[[Path, bytes], None],
    callbacks: Sequence[Callback],
    logger: Any,
    accelerator: str = "cpu",
) -> None:
    """Train to the end of the budget, with a checkpoint after every check.

    Started again after a kill, it goes on from the last checkpoint and ends with the same bits.

    Args:
        task: What to train.
        folder: Where the checkpoint lies; it stays until the caller has committed the solution.
        write: Puts bytes at a path in one step.
        callbacks: Run in this order, before the checkpoint is written.
        logger: A Lightning logger.
        accelerator: As Lightning calls it.

    Raises:
        Diverged: The loss is not finite; the checkpoint before that is still there.
    """
    quieten()
    saved = ModelCheckpoint(
        folder,
        "last",
        every_n_epochs=task.protocol.check_every,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = lightning.Trainer(
        accelerator=accelerator,
        devices=1,
        max_epochs=task.protocol.max_epochs,
        max_steps=-1 if task.protocol.max_steps is None else task.protocol.max_steps,
        callbacks=[*callbacks, saved, *([RichProgressBar()] if on_terminal() else [])],
        logger=logger,
        plugins=[SafeCheckpointIO(write)],
        enable_progress_bar=on_terminal(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=10**9,
    )
    resume = folder / CHECKPOINT
    trainer.fit(task, ckpt_path=resume if usable(resume) else None, weights_only=True)


def on_terminal() -> bool:
    """Whether somebody is watching, who gets a progress bar; a log gets lines."""
    return sys.stderr.isatty()


def quieten() -> None:
    """No adverts and no hints from third parties."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning.*")
