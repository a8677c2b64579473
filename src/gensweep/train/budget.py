"""How long training goes on, and after which epochs it keeps its weights. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def limits(budget: Mapping[str, Any], examples: int, batch_size: int, reference_batch: int) -> dict[str, Any]:
    """What ends a training: the budget with its epochs and updates as whole numbers for this batch size.

    Matched in updates, a training makes as many as ``reference_batch`` would in ``max_epochs`` epochs, in
    however many epochs of its own; ``max_steps`` still ends it where that comes first, and the milestones of
    the schedule are fractions of whatever number of updates comes out.

    Args:
        budget: Its settings.
        examples: Clean ones, train and confusion set together.
        batch_size: Of this training.
        reference_batch: Of the schedule.

    >>> asked = {"max_epochs": 10, "max_steps": None, "match": "updates", "keep": None}
    >>> limits(asked, 1000, 500, 64)
    {'max_epochs': 80, 'max_steps': 160}
    """
    rest = {k: v for k, v in budget.items() if k not in ("keep", "match")}
    if budget["match"] == "epochs":
        return rest
    updates = rest["max_epochs"] * math.ceil(examples / reference_batch)
    epochs = math.ceil(updates / math.ceil(examples / batch_size))
    return {**rest, "max_epochs": epochs, "max_steps": min(updates, rest["max_steps"] or updates)}


def kept_epochs(keep: int | list[int] | None, ended: int) -> list[int]:
    """The epochs after which weights were kept, when training ended after ``ended`` of them.

    >>> kept_epochs(3, 10), kept_epochs([1, 2, 50], 10), kept_epochs(None, 10)
    ([3, 6, 9], [1, 2], [])
    """
    if isinstance(keep, int):
        return list(range(keep, ended + 1, keep))
    return [epoch for epoch in keep or [] if epoch <= ended]
