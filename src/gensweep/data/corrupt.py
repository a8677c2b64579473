"""The splits of one run: which examples it trains on, and which labels the loss sees.

Train, confusion and poison set each take the first free examples of a permutation of their own, in this
order. So a smaller train set is part of a larger one, with the same labels, and the train set does not move
when the confusion or poison set grows.
"""

from __future__ import annotations

import numpy as np

from gensweep.data.base import Available, Data, Source, Split
from gensweep.errors import InputError
from gensweep.rng import Stream


def draw(
    source: Source,
    rng: Stream,
    train_size: int | None = None,
    confusion_size: int = 0,
    random_labels: bool = False,
    poison_size: int = 0,
) -> Data:
    """Disjoint train, confusion and poison sets, and all of the test split; exact on every machine.

    Args:
        source: The data set.
        rng: The run's stream for its data.
        train_size: Examples to train on, ≥ 1; None takes all that the other sets leave.
        confusion_size: Examples added with uniformly random labels, ≥ 0; a lucky true one stays.
        random_labels: Whether the train set gets uniformly random labels too.
        poison_size: Correctly labelled examples for the poison term of the loss, ≥ 0; they come from the
            source's extra split where it has one, and their index counts there, else from the pool.

    Error: Exact.

    Source: Random labels: Zhang et al. 2017. Confusion set: Neyshabur et al. 2017. Poison: Huang et al. 2020.
    """
    pool = len(source.train_y)
    extra = None if source.extra_y is None else len(source.extra_y)
    train_size = check_sizes(Available(pool, extra), train_size, confusion_size, poison_size)
    free = np.ones(pool, dtype=bool)
    train = _take(rng.child("train"), free, train_size)
    confusion = _take(rng.child("confusion"), free, confusion_size)
    poison = _take(rng.child("poison"), free if extra is None else np.ones(extra, dtype=bool), poison_size)
    noise = rng.child("random_labels").integers(source.num_classes, train_size)
    wrong = rng.child("confusion_labels").integers(source.num_classes, confusion_size)
    splits = (
        Split(source.train_x[train], noise if random_labels else source.train_y[train], train),
        Split(source.train_x[confusion], wrong, confusion),
        _poison(source, poison),
        Split(source.test_x, source.test_y, np.arange(len(source.test_y))),
    )
    return Data(*splits, source.num_classes, source.mean, source.std, source.note)


def check_sizes(
    available: Available,
    train_size: int | None = None,
    confusion_size: int = 0,
    poison_size: int = 0,
    name: str = "the data set",
) -> int:
    """Whether there are enough examples, before anything starts.

    Args:
        available: What `DataSet.pool` says.
        train_size: As in `draw`.
        confusion_size: As in `draw`.
        poison_size: As in `draw`.
        name: The data set's name for the error sentence.

    Returns:
        The number of training examples.

    Raises:
        InputError: More is asked for than there is, less than nothing, or nothing is left to train on.

    >>> check_sizes(Available(1300), confusion_size=300)
    1000
    """
    asked = {"train_size": train_size, "confusion_size": confusion_size, "poison_size": poison_size}
    _check_range(asked, available.pool, name)
    if available.extra is not None:
        del asked["poison_size"]
        _check_extra(available.extra, poison_size, name)
    total = sum(size for size in asked.values() if size is not None)
    least = 1 if train_size is None else 0
    if total + least > available.pool:
        raise InputError(_too_many(asked, total, available.pool, name))
    return available.pool - total if train_size is None else train_size


def _check_range(asked: dict[str, int | None], pool: int, name: str) -> None:
    for setting, size in asked.items():
        least = 1 if setting == "train_size" else 0
        if size is not None and size < least:
            raise InputError(
                f"{setting}={size} is too small: {name} has {pool:,} examples to draw from; "
                f"give {least} or more."
            )


def _check_extra(extra: int, poison_size: int, name: str) -> None:
    if poison_size > extra:
        raise InputError(
            f"poison_size={poison_size} asks for {poison_size:,} examples, but the extra split of {name} "
            f"that they come from has {extra:,}; lower it."
        )


def _too_many(asked: dict[str, int | None], total: int, pool: int, name: str) -> str:
    """The sentence with both numbers, and what is left to train on when that is the matter."""
    terms = " + ".join(f"{setting}={size}" for setting, size in asked.items() if size is not None)
    rest = " and one at least must be left to train on" if asked["train_size"] is None else ""
    return (
        f"{terms} asks for {total:,} examples, but {name} has {pool:,} to draw from{rest}; lower one of them."
    )


def _take(rng: Stream, free: np.ndarray, size: int) -> np.ndarray:
    """The first ``size`` free examples of a random order, int64 (size,); they are no longer free."""
    order = rng.permutation(len(free))
    chosen = order[free[order]][:size]
    free[chosen] = False
    return chosen


def _poison(source: Source, index: np.ndarray) -> Split:
    """The poison set with its true labels."""
    if source.extra_x is None or source.extra_y is None:
        return Split(source.train_x[index], source.train_y[index], index)
    return Split(source.extra_x[index], source.extra_y[index], index)
