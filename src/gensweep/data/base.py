"""What a data set hands over, and what a run makes of it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from gensweep.rng import Stream


@dataclass(frozen=True)
class Source:
    """A data set as it came: all examples, nothing drawn yet.

    Args:
        train_x: Examples to draw train, confusion and poison sets from; uint8 images (N, C, H, W)
            or float32 points (N, D).
        train_y: Their labels, int64 (N,).
        test_x, test_y: The test split, never drawn from.
        extra_x, extra_y: A further split to draw the poison set from, where the data set has one.
        num_classes: C.
        mean, std: Per-channel constants of the normalisation, in units of the raw values, shape (channels,)
            or (1,); an input reaches the network as (x − mean) / std.
        note: What is incomplete about this copy, in words, or empty.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    num_classes: int
    mean: np.ndarray
    std: np.ndarray
    extra_x: np.ndarray | None = None
    extra_y: np.ndarray | None = None
    note: str = ""


class Available(NamedTuple):
    """How many examples there are to draw from.

    Args:
        pool: Training examples, ≥ 1.
        extra: Examples of the further split that the poison set comes from; None where there is none
            and the poison set comes from the pool.
    """

    pool: int
    extra: int | None = None


class DataSet(Protocol):
    """What a file in ``data/`` offers: a frozen dataclass of its settings."""

    def pool(self, data_dir: Path) -> Available:
        """How many examples there are to draw from; quick, and an `InputError` when none are."""
        ...

    def load(self, data_dir: Path, rng: Stream) -> Source:
        """All of it."""
        ...


@dataclass(frozen=True)
class Split:
    """One set of examples of a run.

    Args:
        x: Raw inputs, (N, …), as in the source.
        y: Labels that the loss uses, int64 (N,); random ones in a confusion set.
        index: Where each example stands in its source array, int64 (N,).
    """

    x: np.ndarray
    y: np.ndarray
    index: np.ndarray

    def __len__(self) -> int:
        """The number of examples N."""
        return len(self.y)

    def take(self, which: np.ndarray) -> Split:
        """The examples at these places of the split."""
        return Split(self.x[which], self.y[which], self.index[which])


@dataclass(frozen=True)
class Data:
    """The four disjoint splits of one run, with the constants that normalise them, or None for neither."""

    train: Split
    confusion: Split
    poison: Split
    test: Split
    num_classes: int
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    note: str = ""

    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.type == "Split"}

    @property
    def clean(self) -> Split:
        """Train and confusion set together; the labels are those that the loss sees."""
        pairs = [(getattr(self.train, f.name), getattr(self.confusion, f.name)) for f in fields(Split)]
        return Split(*(np.concatenate(pair) for pair in pairs))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.train.x.shape[1:])
