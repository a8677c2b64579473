"""Batches cut from tensors that lie on the device; the order is a function of (stream, epoch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from gensweep.ranks import Ranks
from gensweep.rng import Stream


class Batch(NamedTuple):
    """What this process has of the clean and the poison batch of one step.

    Args:
        x, y: Its clean examples.
        poison_x, poison_y: Its poison examples.
        sizes: Examples of the whole clean and of the whole poison batch, those of all processes.
    """

    x: Tensor
    y: Tensor
    poison_x: Tensor
    poison_y: Tensor
    sizes: tuple[int, int]


@dataclass
class Batches:
    """A clean and a poison batch for every step of an epoch.

    An epoch is one pass over the clean examples; the poison examples turn at a pace of their own, so that
    the number of steps depends on neither β nor the size of the poison set. Several processes share each
    batch: the same examples meet in it, however many they are.

    Args:
        clean: Inputs and labels of train and confusion set.
        poison: Inputs and labels of the poison set; empty where β = 0.
        batch_size: Examples per batch, clean and poison alike; the last clean batch may be smaller.
        rng: Orders come from its children ``clean`` and ``poison``.
        step: Tells how many steps have been made, in this epoch and before; the next one comes first.
        ranks: The processes that share each batch.
    """

    clean: tuple[Tensor, Tensor]
    poison: tuple[Tensor, Tensor]
    batch_size: int
    rng: Stream
    step: Callable[[], int]
    ranks: Ranks = field(default_factory=Ranks)
    _turn: tuple[int, Tensor] = field(default=(-1, torch.zeros(0)), init=False, repr=False)

    def __len__(self) -> int:
        """Steps per epoch."""
        return math.ceil(len(self.clean[1]) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of the current epoch; of one that was begun in another process, those that are left."""
        step = self.step()
        epoch, made = divmod(step, len(self))
        order = self._order("clean", epoch, self.clean)
        for i, chosen in enumerate(order.split(self.batch_size)[made:]):
            yield self._shared(chosen, self._poison(step + i))

    def _shared(self, clean: Tensor, poison: Tensor) -> Batch:
        """This process's part of the batch with these indices."""
        sizes = len(clean), len(poison)
        if self.ranks.several:
            clean, poison = clean[self.ranks.share(sizes[0])], poison[self.ranks.share(sizes[1])]
        poisoned = (self.poison[0][poison], self.poison[1][poison]) if sizes[1] else self.poison
        return Batch(self.clean[0][clean], self.clean[1][clean], *poisoned, sizes)

    def _poison(self, step: int) -> Tensor:
        """Indices of the poison batch of a global step: whole batches, turn after turn."""
        n = len(self.poison[1])
        if n == 0:
            return self.poison[1]
        size = min(self.batch_size, n)
        turn, place = divmod(step, n // size)
        if turn != self._turn[0]:  # drawing an order costs more than a small network's step
            self._turn = turn, self._order("poison", turn, self.poison)
        return self._turn[1][place * size : (place + 1) * size]

    def _order(self, name: str, turn: int, examples: tuple[Tensor, Tensor]) -> Tensor:
        order = self.rng.child(name, turn).permutation(len(examples[1]))
        return torch.from_numpy(order).to(examples[1].device)


@dataclass(frozen=True)
class Bunches:
    """The same batches, some at a time, cut when they are asked for.

    Lightning's loop costs about 0.3 ms per turn, which is as much as a small network's step; so a turn of
    it is a bunch of steps.

    Args:
        batches: What is bunched.
        size: Batches per bunch; the last one may be smaller.
    """

    batches: Batches
    size: int = 20

    def __len__(self) -> int:
        """Bunches per epoch."""
        return math.ceil(len(self.batches) / self.size)

    def __iter__(self) -> Iterator[Iterator[Batch]]:
        """The bunches of the current epoch; each must be used up before the next; the last may be empty."""
        batches = iter(self.batches)
        return (islice(batches, self.size) for _ in range(len(self)))


def without(examples: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """None of these inputs and labels, in their shape."""
    return examples[0][:0], examples[1][:0]
