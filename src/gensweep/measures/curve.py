"""Loss and accuracy on the way: at the weights that training kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class Curve:
    """Train and test set at every epoch whose weights were kept (`budget.keep`), and where training began.

    Yields ``loss`` (nats) and ``accuracy`` (fraction) at x = epoch, 0 included, each with the buffers of that
    epoch, and of the test set the ``early_stopping_gain``: how far its largest accuracy on the way is above
    that of the solution, which counts too, so that it is never negative.

    Cost: 1 F of both splits per kept epoch.

    Error: Exact for the splits. The gain chooses the best of several on the test set itself: it is the most
    that stopping early could have brought, and above 0 by chance alone.

    Invariance: Any change of the weights that keeps the function keeps every number.

    Trust: Between kept epochs nothing is seen. Batch norm's running averages lag behind the weights in the
    first epochs, the more so the fewer updates an epoch has.

    Source: Keskar et al. 2017 (1609.04836), figure 2.

    Example: ``Curve()``
    """

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        for split in ("train", "test"):
            if solution.passed is None:
                yield from nothing("the run kept no weights on its way (budget.keep)", split)
            elif not len(data.splits()[split]):
                yield from nothing(f"the run has no {split} set", split)
            else:
                yield from along(Risk(solution, data.splits()[split], data), solution, solution.passed, split)


def along(
    risk: Risk, solution: Solution, passed: Mapping[int, Mapping[str, Tensor]], split: str
) -> Iterator[Row]:
    """The rows of one split."""
    best = end = risk.loss_and_accuracy(solution.theta_P)[1]
    for epoch, state in sorted(passed.items()):
        buffers = {name: state[name].to(solution.device) for name, _ in solution.model.named_buffers()}
        point_P = solution.layout.pack(state).to(solution.theta_P)
        loss, accuracy = risk.loss_and_accuracy(point_P, buffers)
        best = max(best, accuracy)
        yield Row("loss", loss, split=split, x=epoch)
        yield Row("accuracy", accuracy, split=split, x=epoch)
    if split == "test":
        yield Row("early_stopping_gain", best - end, split=split)


def nothing(reason: str, split: str) -> Iterator[Row]:
    """The rows of a split that has no curve."""
    for quantity in ("loss", "accuracy", *(["early_stopping_gain"] if split == "test" else [])):
        yield not_applicable(quantity, reason, split=split)
