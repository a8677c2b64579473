"""The examples of many networks as one tensor, and which network trains on which of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from gensweep.data.base import Data, Split
from gensweep.data.resident import resident

Taken = tuple[Tensor, Tensor]  # places in the pool, int64 (N,), and labels, int64 (N,)


@dataclass(frozen=True)
class Pool:
    """Every example once, however many networks train on it.

    Args:
        x: Normalised examples, flat, (N, inputs).
        clean: Train and confusion set, of each network or once for all of them.
        poison: Poison set, the same.
    """

    x: Tensor
    clean: list[Taken]
    poison: list[Taken]

    @classmethod
    def of(cls, datas: Iterable[Data], dtype: torch.dtype) -> Pool:
        """The pool of these networks' data, or of the one that all of them share; one is held at a time."""
        rows: dict[bytes, int] = {}
        clean, poison = [], []
        for data in datas:
            train, confusion, poisoned = (
                taken(rows, split, data, dtype) for split in (data.train, data.confusion, data.poison)
            )
            clean.append((torch.cat([train[0], confusion[0]]), torch.cat([train[1], confusion[1]])))
            poison.append(poisoned)
        x = torch.frombuffer(bytearray().join(rows), dtype=dtype).view(len(rows), -1)
        return cls(x, clean, poison)


def taken(rows: dict[bytes, int], split: Split, data: Data, dtype: torch.dtype) -> Taken:
    """Where the examples of a split are among the rows, to which those that are new are added."""
    x, y = resident(split, data, torch.device("cpu"), dtype)
    places = [rows.setdefault(row.tobytes(), len(rows)) for row in x.flatten(1).numpy()]
    return torch.tensor(places, dtype=torch.int64), y
