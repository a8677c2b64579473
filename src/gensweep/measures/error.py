"""Loss and accuracy on every split, and the gaps between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from gensweep.data.base import Data
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class Error:
    """Loss, error and accuracy per split, ``gap_error``, ``gap_loss`` and ``target_reached``.

    ``gap_error`` is test error − train error, ``gap_loss`` test loss − train loss, both over the
    true-labelled training examples.

    Cost: 1 F per split.

    Error: ``stderr`` is the sampling error over the examples of the split; that of an accuracy is never 0,
    for half an example is added to either side. That of a loss which few examples carry is too small.

    Invariance: Any change of the weights that keeps the function keeps every number.

    Trust: A gap between two nets below about twice its ``stderr`` is noise of the test set. The gap of
    the loss depends on the size of the logits; the gap of the error does not.

    Example: ``Error()``
    """

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        rows = {name: list(self.split(solution, data, name)) for name in data.splits()}
        for split in rows.values():
            yield from split
        yield from gaps(rows["train"], rows["test"])
        yield target_reached(clean_loss(rows, data), solution.target_loss)

    def split(self, solution: Solution, data: Data, name: str) -> Iterator[Row]:
        """Loss, error and accuracy of one split."""
        split = data.splits()[name]
        if not len(split):
            for quantity in ("loss", "error", "accuracy"):
                yield not_applicable(quantity, f"the run has no {name} set", split=name)
            return
        risk = Risk(solution, split, data)
        logits = risk.logits(solution.theta_P)
        losses = risk.per_example(logits.double(), risk.y)
        accuracy = (logits.argmax(1) == risk.y).double().mean().item()
        share = (accuracy * len(split) + 0.5) / (
            len(split) + 1
        )  # of the stderr alone: 100 % right is no proof
        spread = math.sqrt(share * (1 - share) / len(split))
        yield Row("loss", losses.mean().item(), losses.std(correction=0).item() / math.sqrt(len(split)), name)
        yield Row("error", 1 - accuracy, spread, name)
        yield Row("accuracy", accuracy, spread, name)


def gaps(train: list[Row], test: list[Row]) -> Iterator[Row]:
    """Test minus train, of the loss and of the error."""
    for quantity, before, after in (("gap_loss", train[0], test[0]), ("gap_error", train[1], test[1])):
        if "not_applicable" in (before.status, after.status):
            yield not_applicable(quantity, "one of the two splits is empty")
        else:
            yield Row(quantity, after.value - before.value, math.hypot(before.stderr, after.stderr))


def clean_loss(rows: dict[str, list[Row]], data: Data) -> float:
    """Mean loss over train and confusion set together, nats: what training was to bring down."""
    parts = [(rows[name][0].value, len(data.splits()[name])) for name in ("train", "confusion")]
    return sum(loss * n for loss, n in parts if n) / sum(n for _, n in parts)


def target_reached(loss: float, target: float | None) -> Row:
    """Whether training came down to the loss that its budget asked for."""
    if target is None:
        return not_applicable("target_reached", "training had no target loss")
    return Row("target_reached", float(loss <= target), split="train")
