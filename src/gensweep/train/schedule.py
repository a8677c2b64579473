"""How the learning rate depends on the batch size and on how far training has come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

BATCH_RULES = {"fixed": lambda ratio: 1.0, "sqrt": math.sqrt, "linear": lambda ratio: ratio}


@dataclass(frozen=True)
class Schedule:
    """The factor on ``optim.lr`` at every update.

    Args:
        shape: ``constant``; ``step``, which multiplies by ``decay`` at each milestone; or ``cosine``, from 1
            to 0.
        milestones: Fractions of the training, ascending, in (0, 1).
        decay: Factor at each milestone.
        batch_rule: ``fixed``, or the factor grows with the batch size B as B (``linear``) or √B (``sqrt``).
        reference_batch: The batch size that ``optim.lr`` is meant for.

    Source: Goyal et al. 2017 (1706.02677) for the linear rule, Hoffer et al. 2017 (1705.08741) for the root.

    >>> Schedule("step", (0.5, 0.75), 0.1, "linear", 64).factor(0.6, batch_size=128)
    0.2
    """

    shape: str = "constant"
    milestones: Sequence[float] = (0.5, 0.75)
    decay: float = 0.1
    batch_rule: str = "fixed"
    reference_batch: int = 64

    def factor(self, progress: float, batch_size: int) -> float:
        """The factor when this fraction of the updates is done."""
        return self.by_batch(batch_size) * self.by_progress(progress)

    def by_batch(self, batch_size: int) -> float:
        """The part that the batch size decides."""
        return BATCH_RULES[self.batch_rule](batch_size / self.reference_batch)

    def by_progress(self, progress: float) -> float:
        """The part that falls as training goes on."""
        if self.shape == "cosine":
            return (1 + math.cos(math.pi * min(progress, 1.0))) / 2
        passed = sum(progress >= milestone for milestone in self.milestones)
        return self.decay**passed if self.shape == "step" else 1.0
