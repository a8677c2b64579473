"""One published claim, and what a table says of it. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from gensweep.claims import units
from gensweep.claims.statistic import LEAST, Estimate, estimate
from gensweep.errors import InputError

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
NO_ROWS = "no rows of"
MOST_UNSOUND = 0.5  # share of numbers that are not ``ok``, above which nothing is concluded from them
NONE = Estimate(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Claim:
    """What a source says, and how it is held against a table.

    Args:
        id: A name of its own.
        figure: The figure that shows it.
        source: Where it was published.
        statement: In words.
        theirs: The source's own numbers.
        experiment: Whose rows it reads; several names are taken together.
        y: The rows that give one number per run: values of columns, and ``reduce`` or ``log``.
        statistic: ``mean``, ``median``, ``share``, ``spearman`` or ``kendall`` over runs or pairs of them.
        claimed: What the statement says of the statistic: ``< T``, ``> T``, or ``LOW to HIGH``.
        where: Knob → the value, or values, that the runs have.
        reached: Whether only runs count that came down to their target loss.
        contrast: Knob → two values: y becomes the difference between the runs that have them.
        pair: The knobs in which the runs of a pair agree; every other that moves, if left out.
        x: The other side of a correlation: a knob, or rows as for y.
        within: The statistic is that within each value of this knob, averaged.
    """

    id: str
    figure: str
    source: str
    statement: str
    theirs: str
    experiment: str | list[str]
    y: dict[str, Any]
    statistic: str
    claimed: str
    where: dict[str, Any] | None = None
    reached: bool = False
    contrast: dict[str, list[Any]] | None = None
    pair: list[str] | None = None
    x: str | dict[str, Any] | None = None
    within: str | None = None

    @property
    def experiments(self) -> list[str]:
        """The names of the experiments whose rows it reads."""
        return [self.experiment] if isinstance(self.experiment, str) else self.experiment


class Verdict(NamedTuple):
    """What a table says of a claim.

    Args:
        claim: Which.
        ours: The statistic with its interval.
        verdict: *reproduced*, *not reproduced* or *inconclusive*.
        why: Of the last, why; of the others, which runs or numbers did not count.
        groups: How many values of ``within`` the statistic is the mean over; 0 without that.
    """

    claim: Claim
    ours: Estimate
    verdict: str
    why: str
    groups: int = 0

    @property
    def statistic(self) -> str:
        """What was computed, as in ``spearman within 5 seeds``."""
        within = f" within {self.groups} {self.claim.within}s" if self.groups else ""
        return self.claim.statistic + within


def span(claimed: str) -> tuple[float, float]:
    """The values of the statistic that a claim allows.

    Raises:
        InputError: It is none of the three forms.

    >>> span("< -0.5"), span("-0.3 to 0.3")
    ((-inf, -0.5), (-0.3, 0.3))
    """
    number = r"(-?\d+\.?\d*(?:e-?\d+)?)"
    if found := re.fullmatch(f"([<>]) *{number}", claimed):
        bound = float(found[2])
        if not np.isfinite(bound):
            raise InputError(f"claimed: {claimed} is no bound")
        return (-np.inf, bound) if found[1] == "<" else (bound, np.inf)
    if found := re.fullmatch(f"{number} to {number}", claimed):
        low, high = float(found[1]), float(found[2])
        if low < high < np.inf:
            return low, high
    raise InputError(f"claimed: {claimed} is neither '< T' nor '> T' nor 'LOW to HIGH'")


def judge(claim: Claim, table: pd.DataFrame) -> Verdict:
    """The claim held against the rows of a table.

    Raises:
        InputError: The table holds two scales, or does not say what its rows were asked for.
    """
    rows = units.of_experiment(table, claim.experiments)
    if rows.empty:
        return Verdict(claim, NONE, INCONCLUSIVE, f"{NO_ROWS} {' or '.join(claim.experiments)}")
    try:
        rows, notes = counted(claim, rows)
        ours, groups = measured(claim, rows)
    except InputError as error:
        return Verdict(claim, NONE, INCONCLUSIVE, str(error))
    doubts = unsound(claim, rows)
    verdict, why = decided(ours, *span(claim.claimed))
    if verdict != INCONCLUSIVE and any(share > MOST_UNSOUND for share, _ in doubts):
        verdict, why = INCONCLUSIVE, "most of its numbers are not sound"
    said = "; ".join([why] * bool(why) + notes + [words for _, words in doubts])
    return Verdict(claim, ours, verdict, said, groups)


def decided(ours: Estimate, low: float, high: float) -> tuple[str, str]:
    """The verdict on a statistic that ought to lie between two bounds, and why it is open."""
    if np.isnan(ours.value):
        return INCONCLUSIVE, "too few runs" if ours.n < LEAST else "one side of it does not vary"
    if low <= ours.low and ours.high <= high:
        return REPRODUCED, ""
    if ours.high < low or ours.low > high:
        return NOT_REPRODUCED, ""
    bound = next(b for b in (low, high) if ours.low <= b <= ours.high)
    return INCONCLUSIVE, f"the interval holds {bound:g}"


def counted(claim: Claim, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the runs that count, and how many do not.

    Raises:
        InputError: There are none.
    """
    rows = units.within(rows, claim.where or {})
    if rows.empty:
        raise InputError(f"no runs with {claim.where}")
    if not claim.reached:
        return rows, []
    target = units.numbers(rows, {"measure": "error", "quantity": "target_reached"})
    missed = target.index[target != 1]
    said = f"{len(missed)} of {rows['run_id'].nunique()} runs did not reach their target loss"
    return rows[~rows["run_id"].isin(missed)], [said] * bool(len(missed))


def measured(claim: Claim, rows: pd.DataFrame) -> tuple[Estimate, int]:
    """The statistic over runs, or pairs of them, and over how many groups of them it is a mean.

    Raises:
        InputError: The rows do not hold what the claim reads.
    """
    runs = rows.drop_duplicates("run_id").set_index("run_id").sort_index()
    y = units.numbers(rows, claim.y)
    found = runs.assign(value=y.reindex(runs.index))
    key = str(claim.x)
    if isinstance(claim.x, dict):
        found = found.assign(**{key: units.numbers(rows, claim.x).reindex(runs.index)})
    if claim.contrast:
        found = units.contrasted(y, found, claim.contrast, claim.pair)
    asked = [key] * (claim.x is not None) + [claim.within or ""] * (claim.within is not None)
    for knob in (knob for knob in asked if knob not in found):
        raise InputError(f"the table has no column {knob}")
    y_N = found["value"].to_numpy(dtype=float)
    x_N = None if claim.x is None else pd.to_numeric(found[key], errors="coerce").to_numpy(dtype=float)
    if claim.within is None:
        return estimate(claim.statistic, y_N, x_N), 0
    groups_N = found[claim.within].astype(str).to_numpy()
    counts = np.isfinite(y_N) & (True if x_N is None else np.isfinite(x_N))
    return estimate(claim.statistic, y_N, x_N, groups_N), len({*groups_N[counts]})


def unsound(claim: Claim, rows: pd.DataFrame) -> list[tuple[float, str]]:
    """Which share of the numbers that it reads is missing, or there but not ``ok``, and that in words."""
    rows, found = compared(claim, rows), []
    for spec in (claim.y, claim.x):
        if not isinstance(spec, dict):
            continue
        taken = units.picked(rows, spec)
        missing = rows["run_id"].nunique() - taken.loc[taken["value"].notna(), "run_id"].nunique()
        if missing:
            found.append((0.0, f"{missing} of {rows['run_id'].nunique()} runs have no {spec['quantity']}"))
        there = taken[taken["value"].notna()]
        for status, count in there.loc[there["status"] != "ok", "status"].value_counts().items():
            share = count / len(there)
            found.append((share, f"{count} of {len(there)} numbers {status} ({spec['quantity']})"))
    return found


def compared(claim: Claim, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs on either side of the contrast; all where there is none."""
    if not claim.contrast:
        return rows
    sides = [{knob: values[side] for knob, values in claim.contrast.items()} for side in (0, 1)]
    runs = {run for side in sides for run in units.within(rows, side)["run_id"]}
    return rows[rows["run_id"].isin(runs)]
