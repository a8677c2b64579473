"""The beginning of a training, timed."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from torch import Tensor

from gensweep.train.batches import Batch, Bunches
from gensweep.train.task import Task

WARM = 2  # updates that pay for what is made once


class TimeUp(Exception):
    """Enough was timed."""


class Timed(Task):
    """Trains until enough was timed, and then raises `TimeUp`.

    Args:
        limit: Seconds, from the second epoch or update on.
        arguments: Those of `Task`.
    """

    def __init__(self, limit: float, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.limit = limit
        self.steps: list[float] = []
        self.turns: list[float] = []

    def train_dataloader(self) -> Bunches:
        """One batch at a time where an epoch would take too long to wait for."""
        whole = super().train_dataloader()
        return whole if len(self.batches) <= whole.size else Bunches(self.batches, 1)

    def on_train_epoch_start(self) -> None:
        """Note when."""
        self.turns.append(time.monotonic())

    def training_step(self, bunch: Iterator[Batch], batch_idx: int) -> None:
        """Train, unless the time is up."""
        warm = self.steps[WARM - 1 : WARM]
        if warm and time.monotonic() - warm[0] > self.limit and len(self.steps) > WARM:
            raise TimeUp
        super().training_step(bunch, batch_idx)

    def update(self, batch: Batch) -> Tensor:
        """Update, and note when that was over."""
        loss = super().update(batch)
        self.steps.append(time.monotonic())
        return loss

    def seconds(self) -> float:
        """What the whole training would take, without its start.

        From whole epochs where two were seen; else from its updates, and by a rule: a check takes a third of
        an update's time for each batch of the examples that it evaluates.
        """
        per_epoch, per_check = len(self.batches), self.protocol.check_every
        epochs = self.updates / per_epoch
        whole = (len(self.turns) - 1) // per_check * per_check
        if whole - per_check >= 1:
            return (self.turns[whole] - self.turns[per_check]) / (whole - per_check) * epochs
        if len(self.turns) > 2 and per_check > 1:
            return (self.turns[-1] - self.turns[1]) / (len(self.turns) - 2) * epochs
        step = statistics.median(b - a for a, b in pairwise(self.steps))
        evaluated = sum(len(split[1]) for split in self.splits.values()) / self.protocol.batch_size
        return step * (self.updates + math.ceil(epochs / per_check) * evaluated / 3)
