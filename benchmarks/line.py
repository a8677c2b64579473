"""One line of the table: a quantity from all sides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gensweep.rows import Row
from peer import Peer

ROUNDING = 1e-9


class Number(NamedTuple):
    """One number, or one for each of several.

    Args:
        value: The number.
        stderr: Its standard error.
        note: How it came about, or what it cost: losses F, gradients G, Hessian products HVP.
    """

    value: np.ndarray | float
    stderr: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One quantity of one network, from all sides.

    Args:
        net, quantity: What.
        exact: By brute force.
        ours: By a measure.
        rtol: How far ours may be off, over ``scale``, beside three standard errors.
        peers: By others.
        scale: Unit of the differences; |exact| unless given.
    """

    net: str
    quantity: str
    exact: Number
    ours: Number
    rtol: float = ROUNDING
    peers: Sequence[Peer] = ()
    scale: float | None = None

    def off(self, value: np.ndarray | float) -> float:
        """The largest difference from the exact answer, in units of ``scale``."""
        if np.shape(value) != np.shape(self.exact.value):
            return math.nan
        unit = np.abs(self.exact.value) if self.scale is None else self.scale
        return float(np.max(np.abs(np.asarray(value) - self.exact.value) / unit))

    @property
    def allowed(self) -> float:
        """How far ours may be off, in units of ``scale``."""
        unit = np.min(np.abs(self.exact.value)) if self.scale is None else self.scale
        return self.rtol + 3 * math.hypot(self.ours.stderr, self.exact.stderr) / float(unit)

    @property
    def agrees(self) -> bool:
        """Whether ours is as near as it has to be; NaN is not."""
        return self.off(self.ours.value) <= self.allowed


def pick(rows: Iterable[Row], quantity: str, note: str = "") -> Number:
    """The first row of a quantity, with the status that it has."""
    row = next(row for row in rows if row.quantity == quantity)
    flags = [text for text in (note, row.status) if text not in ("", "ok")]
    return Number(row.value, 0.0 if math.isnan(row.stderr) else row.stderr, ", ".join(flags))
