"""Batches cut from tensors that lie on the device; the order is a function of (stream, epoch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gensweep.rng import Stream

Batch = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass
class Batches:
    """A clean and a poison batch for every step of an epoch.

    An epoch is one pass over the clean examples; the poison examples turn at a pace of their own, so that
    the number of steps depends on neither β nor the size of the poison set.

    Args:
        clean: Inputs and labels of train and confusion set.
        poison: Inputs and labels of the poison set; empty where β = 0.
        batch_size: Examples per batch, clean and poison alike; the last clean batch may be smaller.
        rng: Orders come from its children ``clean`` and ``poison``.
        epoch: Tells the epoch that begins.
    """

    clean: tuple[Tensor, Tensor]
    poison: tuple[Tensor, Tensor]
    batch_size: int
    rng: Stream
    epoch: Callable[[], int]

    def __len__(self) -> int:
        """Steps per epoch."""
        return math.ceil(len(self.clean[1]) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the current epoch."""
        epoch = self.epoch()
        order = self._order("clean", epoch, self.clean)
        for i, chosen in enumerate(order.split(self.batch_size)):
            poisoned = self._poison(epoch * len(self) + i)
            yield (
                self.clean[0][chosen],
                self.clean[1][chosen],
                self.poison[0][poisoned],
                self.poison[1][poisoned],
            )

    def _poison(self, step: int) -> Tensor:
        """Indices of the poison batch of a global step: whole batches, turn after turn."""
        n = len(self.poison[1])
        size = min(self.batch_size, n)
        if size == 0:
            return torch.zeros(0, dtype=torch.int64, device=self.poison[1].device)
        turn, place = divmod(step, n // size)
        return self._order("poison", turn, self.poison)[place * size : (place + 1) * size]

    def _order(self, name: str, turn: int, examples: tuple[Tensor, Tensor]) -> Tensor:
        order = self.rng.child(name, turn).permutation(len(examples[1]))
        return torch.from_numpy(order).to(examples[1].device)
