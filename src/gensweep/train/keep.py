"""The weights that training passed, written as it goes: θ₀ and θ* are not all that can be measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lightning
from lightning import Callback
from safetensors.torch import load, save
from torch import Tensor

from gensweep.solutions import state
from gensweep.train.budget import kept_epochs
from gensweep.train.checkpoint import completed, payload, sealed, usable
from gensweep.train.task import Task

KEEPING = "kept"  # folder of a training that is under way


class Keep(Callback):
    """Puts weights and buffers into a file of their own, with its SHA-256, after every epoch to be kept.

    The file is there before the checkpoint of its epoch is, so that a resumed training lacks none; an epoch
    that is trained again writes the same bits.

    Args:
        folder: Of the run.
        keep: After every so many epochs, or after these; None keeps nothing.
        write: Puts bytes at a path in one step.
    """

    def __init__(
        self, folder: Path, keep: int | list[int] | None, write: Callable[[Path, bytes], None]
    ) -> None:
        self.folder, self.keep, self.write = folder, keep, write

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Keep, if this epoch is one of them."""
        assert isinstance(pl_module, Task)
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and epoch in kept_epochs(self.keep, epoch)[-1:]:
            path = place(self.folder, epoch)
            path.parent.mkdir(exist_ok=True)
            self.write(path, sealed(save(state(pl_module.model))))


def place(folder: Path, epoch: int) -> Path:
    """Where the weights after this epoch lie while training is under way."""
    return folder / KEEPING / f"{epoch}.safetensors"


def kept(folder: Path, epochs: list[int]) -> dict[int, dict[str, Tensor]]:
    """Epoch → weights and buffers after it.

    Raises:
        ValueError: A file is damaged.
    """
    return {epoch: load(payload(place(folder, epoch))) for epoch in epochs}


def resumable(folder: Path, checkpoint: Path, keep: int | list[int] | None) -> bool:
    """Whether all that the checkpoint takes for kept is there undamaged; else training has to begin anew."""
    if not keep or not usable(checkpoint):
        return True
    return all(usable(place(folder, epoch)) for epoch in kept_epochs(keep, completed(checkpoint)))
