"""Two ways to one answer, side by side in one process: the time of each, and how far they are apart."""

from __future__ import annotations

import csv
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gensweep.products import quick_products

COLUMNS = (
    *("job", "network", "peer", "n_rounds", "ratio", "low", "high", "goal", "met"),
    *("agreement", "tolerance", "note"),
)
ROUNDS = 5


class Way(NamedTuple):
    """One way to an answer.

    Args:
        run: Gives it.
        units: How many units of work (points, evaluations, runs) one call does.
    """

    run: Callable[[], Any]
    units: float = 1.0


@dataclass(frozen=True)
class Ratio:
    """How many times the processor time of ours a peer takes for the same work.

    Args:
        job, network, peer: What was done, and by whom.
        n_rounds: Rounds A B B A; 0 when the peer gave no answer.
        ratio, low, high: Median and quartiles over the rounds.
        goal: Least ratio to reach, or None.
        agreement: How far the two answers are apart.
        tolerance: How far they may be.
        note: Units, times, and what differs.
    """

    job: str
    network: str
    peer: str
    n_rounds: int
    ratio: float
    low: float
    high: float
    goal: float | None
    agreement: float
    tolerance: float
    note: str

    @property
    def met(self) -> str:
        """Whether the goal was reached; a dash without goal or without ratio."""
        if self.goal is None or not self.n_rounds:
            return "–"
        return "yes" if self.ratio >= self.goal else "no"

    @property
    def agrees(self) -> bool:
        """Whether the answers are as near as they have to be; NaN is not, a peer that is absent is."""
        return not self.n_rounds or self.agreement <= self.tolerance


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile.

    >>> quartiles([3.0, 1.0, 2.0])
    (1.5, 2.0, 2.5)
    """
    if len(values) == 1:
        return (values[0],) * 3
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def absent(job: str, network: str, peer: str, why: str) -> Ratio:
    """The row of a peer that gave no answer."""
    return Ratio(job, network, peer, 0, math.nan, math.nan, math.nan, None, math.nan, math.nan, why)


def compared(
    job: str,
    network: str,
    peer: str,
    ours: Way,
    theirs: Way,
    apart: Callable[[Any, Any], float],
    tolerance: float,
    goal: float | None = None,
    rounds: int = ROUNDS,
    note: str | Callable[[Any, Any], str] = "",
) -> Ratio:
    """Time both ways in turns A B B A, then compare their last answers.

    Args:
        job: Name of the row …
        network: … and of what it was done on …
        peer: … and of whom.
        ours: A.
        theirs: B.
        apart: Our answer and theirs → how far they are apart.
        tolerance: How far they may be.
        goal: Least ratio, or None.
        rounds: Turns; a ratio is of one round.
        note: What to say beside the times, or what to say from the two answers.
    """
    found, own, other, answer = [], [], [], None
    for _ in range(rounds):
        with quick_products():  # as measures of a run have it
            before, _ = timed(ours)
        try:
            times, answers = zip(*(timed(theirs) for _ in range(2)), strict=True)
        except ImportError as error:
            return absent(job, network, peer, f"not installed: {error.name}")
        except Exception as error:  # a finding, whatever it is
            return absent(job, network, peer, f"fails: {type(error).__name__}: {str(error)[:60]}")
        with quick_products():
            after, answer = timed(ours)
        own.append((before + after) / 2)
        other.append(sum(times) / 2)
        found.append(other[-1] / own[-1])
    low, middle, high = quartiles(found)
    said = note if isinstance(note, str) else note(answer, answers[-1])
    spent = f"{shown(statistics.median(own))} against {shown(statistics.median(other))} ms"
    return Ratio(
        *(job, network, peer, rounds, middle, low, high, goal, apart(answer, answers[-1]), tolerance),
        f"{spent}; {said}" if said else spent,
    )


def timed(way: Way) -> tuple[float, Any]:
    """Processor seconds per unit, and the answer; what it draws from PyTorch's own generator is undone."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        began = time.process_time()
        answer = way.run()
        return (time.process_time() - began) / way.units, answer


def shown(seconds: float) -> str:
    """Milliseconds with three digits."""
    return f"{1e3 * seconds:.3g}"


def told(row: Ratio) -> str:
    """One line of the table."""
    name = f"{row.job:<32}{row.network:<12}{row.peer:<31}"
    if not row.n_rounds:
        return f"{'':<3}{name}{row.note}"
    spread = f"{row.ratio:.3g} [{row.low:.3g}, {row.high:.3g}]"
    goal = "–" if row.goal is None else f"{row.goal:g} {row.met}"
    mark = "ok" if row.agrees else "NO"
    near = f"{row.agreement:.0e} of {row.tolerance:.0e}"
    return f"{mark:<3}{name}{spread:<24}{goal:<10}{near:<17}{row.note}"


HEADER = (
    f"{'':<3}{'job':<32}{'network':<12}{'peer':<31}{'times [quartiles]':<24}{'goal':<10}{'apart':<17}"
    "per unit, ours against theirs"
)


def cells(row: Ratio) -> dict[str, Any]:
    """The row as it stands in the CSV file; what is not known is empty."""
    values = {f.name: getattr(row, f.name) for f in fields(row)} | {"met": row.met}
    return {name: _cell(values[name]) for name in COLUMNS}


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else value


def write(rows: Iterable[Ratio], path: Path) -> None:
    """All rows as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(cells(row) for row in rows)


def verdict(rows: Sequence[Ratio]) -> Iterator[str]:
    """What the table comes to."""
    measured = [row for row in rows if row.n_rounds]
    aimed = [row for row in measured if row.goal is not None]
    missed = [f"{row.job}, {row.network}, {row.peer}" for row in aimed if row.met == "no"]
    wrong = [f"{row.job}, {row.network}, {row.peer}" for row in measured if not row.agrees]
    yield f"{len(aimed) - len(missed)} of {len(aimed)} goals met."
    yield f"{len(measured) - len(wrong)} of {len(measured)} rows agree."
    yield from (f"missed: {name}" for name in missed)
    yield from (f"apart: {name}" for name in wrong)
