"""A training that is asked to end writes a checkpoint between two updates, and goes on from there."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import lightning
from lightning import Callback

from gensweep import preemption
from gensweep.train.task import Task


class Leave(Callback):
    """Ends training with a checkpoint when this process, or one that shares the run, is asked to end.

    Args:
        path: Of the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.leaving = path, False
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """From here on there is something to save; Lightning has put a handler of its own before ours."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)
        preemption.patient(True)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave before the first update of an epoch, if asked to."""
        self.heed(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *rest: Any
    ) -> None:
        """Leave in the middle of an epoch, if asked to; after its last update the check comes first."""
        assert isinstance(pl_module, Task)
        made = trainer.global_step
        if made % len(pl_module.batches) and made < pl_module.updates:
            self.heed(trainer, pl_module)

    def heed(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Leave, if asked to; all processes of the run together.

        Raises:
            Preempted: After the checkpoint was written.
        """
        assert isinstance(pl_module, Task)
        number = pl_module.ranks.most(preemption.asked())
        if number:
            self.leaving = True
            trainer.save_checkpoint(self.path)
            preemption.heed(number)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let it say that the last whole epoch has just ended; the updates since are counted apart."""
        if self.leaving:
            assert isinstance(pl_module, Task)
            epochs, bunches = trainer.current_epoch, len(pl_module.train_dataloader())
            checkpoint["epoch"] = epochs - 1
            checkpoint["loops"]["fit_loop"].update(between_epochs(epochs, bunches))

    def on_train_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """What was asked for now waits until the solution is committed."""
        preemption.patient(False)


def between_epochs(epochs: int, bunches: int) -> dict[str, Any]:
    """Lightning's account of a training in which so many epochs have ended and none has begun.

    Its own checkpoints in the middle of an epoch count batches that no loader skips when training goes on;
    ours start at the update that ``global_step`` names.

    Args:
        epochs: That have ended.
        bunches: Turns of Lightning's loop in each.
    """
    ended = {"ready": epochs, "started": epochs, "processed": epochs, "completed": max(epochs - 1, 0)}
    turns = epochs * bunches
    last = min(turns, bunches)
    return {
        "epoch_progress": {"total": ended, "current": dict(ended)},
        "epoch_loop.state_dict": {"_batches_that_stepped": turns},
        "epoch_loop.batch_progress": {
            "total": {"ready": turns, "started": turns, "processed": turns, "completed": turns},
            "current": {"ready": last, "started": last, "processed": last, "completed": last},
            "is_last_batch": epochs > 0,
        },
    }
