"""Loss and accuracy over a line or a plane of weight space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

from gensweep.blocks import remembered
from gensweep.geometry.combinations import Combinations
from gensweep.geometry.forward import Buffers
from gensweep.geometry.risk import Risk

# point (P,), its coefficients -> what stands in for the stored statistics of batch norm there
Statistics = Callable[[Tensor, list[float]], Buffers]
Scores = dict[str, tuple[float, float]]


def scored(risks: Mapping[str, Risk], points: Combinations, statistics: Statistics) -> Iterator[Scores]:
    """Loss in nats and fraction classified right of each split at each point, kept in blocks.

    Args:
        risks: By the name of the split.
        points: Where.
        statistics: Of batch norm; asked where points are evaluated one at a time.
    """
    size = min(risk.together for risk in risks.values())

    def at(block: Combinations) -> list[Scores]:
        if size > 1:
            found = (risk.scores(block).tolist() for risk in risks.values())
            return [dict(zip(risks, pairs, strict=True)) for pairs in zip(*found, strict=True)]
        (point_P,), (c_J,) = block, block.c_KT.tolist()
        here = statistics(point_P, c_J)
        return [{name: risk.loss_and_accuracy(point_P, here) for name, risk in risks.items()}]

    blocks = [points[k : k + size] for k in range(0, len(points), size)]
    for block in blocks:
        yield from remembered(at, block, total=len(blocks))
