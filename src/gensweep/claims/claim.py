"""One published claim, and what a table says of it. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from gensweep.claims import units
from gensweep.claims.statistic import STATISTICS, Estimate, estimate
from gensweep.errors import InputError

REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
NO_ROWS = "no rows of"
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
    """

    claim: Claim
    ours: Estimate
    verdict: str
    why: str


def claims(folder: Path = Path(__file__).parent) -> list[Claim]:
    """All claims of the yaml files in a folder.

    Raises:
        InputError: One is not written as `Claim` says, or two have one name.
    """
    found = [read(entry, path) for path in sorted(folder.glob("*.yaml")) for entry in _entries(path)]
    names = [claim.id for claim in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{folder}: two claims are called {twice[0]}")
    return found


def _entries(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or []


def read(entry: dict[str, Any], path: Path) -> Claim:
    """A claim from its entry in a yaml file.

    Raises:
        InputError: What is wrong with it.
    """
    where = f"{path.name}, claim {entry.get('id')}"
    if odd := sorted(entry.keys() - {f.name for f in fields(Claim)}):
        raise InputError(f"{where}: {odd[0]} is no part of a claim")
    try:
        claim = Claim(**{**entry, "theirs": str(entry.get("theirs"))})  # yaml may take it for a number
    except TypeError as error:
        raise InputError(f"{where}: {str(error).partition(') ')[2]}") from None
    if claim.statistic not in STATISTICS:
        raise InputError(f"{where}: statistic={claim.statistic} is none of {', '.join(STATISTICS)}")
    if (claim.statistic in ("spearman", "kendall")) != (claim.x is not None):
        raise InputError(f"{where}: a correlation needs x, and nothing else takes one")
    if claim.y.get("reduce", "mean") not in units.REDUCE:
        raise InputError(f"{where}: reduce={claim.y['reduce']} is none of {', '.join(units.REDUCE)}")
    span(claim.claimed)
    return claim


def span(claimed: str) -> tuple[float, float]:
    """The values of the statistic that a claim allows.

    Raises:
        InputError: It is none of the three forms.

    >>> span("< -0.5"), span("-0.3 to 0.3")
    ((-inf, -0.5), (-0.3, 0.3))
    """
    number = r"(-?[\d.]+(?:e-?\d+)?)"
    if found := re.fullmatch(f"([<>]) *{number}", claimed):
        bound = float(found[2])
        return (-np.inf, bound) if found[1] == "<" else (bound, np.inf)
    if found := re.fullmatch(f"{number} to {number}", claimed):
        return float(found[1]), float(found[2])
    raise InputError(f"claimed: {claimed} is neither '< T' nor '> T' nor 'LOW to HIGH'")


def judge(claim: Claim, table: pd.DataFrame) -> Verdict:
    """The claim held against the rows of a table."""
    rows = units.of_experiment(table, claim.experiments)
    if rows.empty:
        return Verdict(claim, NONE, INCONCLUSIVE, f"{NO_ROWS} {' or '.join(claim.experiments)}")
    try:
        ours, notes = measured(claim, rows)
    except InputError as error:
        return Verdict(claim, NONE, INCONCLUSIVE, str(error))
    verdict, why = decided(ours, *span(claim.claimed))
    return Verdict(claim, ours, verdict, "; ".join([why] * bool(why) + notes))


def decided(ours: Estimate, low: float, high: float) -> tuple[str, str]:
    """The verdict on a statistic that ought to lie between two bounds, and why it is open."""
    if np.isnan(ours.value):
        return INCONCLUSIVE, "too few runs" if ours.n < 3 else "one side of it does not vary"
    if low <= ours.low and ours.high <= high:
        return REPRODUCED, ""
    if ours.high < low or ours.low > high:
        return NOT_REPRODUCED, ""
    bound = next(b for b in (low, high) if ours.low <= b <= ours.high)
    return INCONCLUSIVE, f"the interval holds {bound:g}"


def measured(claim: Claim, rows: pd.DataFrame) -> tuple[Estimate, list[str]]:
    """The statistic, and what did not count.

    Raises:
        InputError: The rows do not hold what the claim reads.
    """
    rows = units.within(rows, claim.where or {})
    if rows.empty:
        raise InputError(f"no runs with {claim.where}")
    runs = rows.drop_duplicates("run_id").set_index("run_id").sort_index()
    notes = []
    if claim.reached:
        target = units.numbers(rows, {"measure": "error", "quantity": "target_reached"})
        missed = target.index[target != 1]
        notes += [f"{len(missed)} of {len(runs)} runs did not reach their target loss"] * bool(len(missed))
        runs = runs.drop(missed)
        rows = rows[rows["run_id"].isin(runs.index)]
    y = units.numbers(rows, claim.y)
    notes += unsound(rows, claim.y, runs, y)
    found = runs.assign(value=y.reindex(runs.index))
    if isinstance(claim.x, dict):
        found = found.assign(**{"x of claim": units.numbers(rows, claim.x).reindex(runs.index)})
    if claim.contrast:
        found = units.contrasted(y, found, claim.contrast, claim.pair)
    x = None if claim.x is None else found["x of claim" if isinstance(claim.x, dict) else claim.x]
    groups = None if claim.within is None else found[claim.within].astype(str).to_numpy()
    numbers = None if x is None else pd.to_numeric(x, errors="coerce").to_numpy(dtype=float)
    return estimate(claim.statistic, found["value"].to_numpy(dtype=float), numbers, groups), notes


def unsound(rows: pd.DataFrame, spec: dict[str, Any], runs: pd.DataFrame, y: pd.Series) -> list[str]:
    """How many of the numbers are missing, and how many are there but not ``ok``."""
    taken = rows[(rows["measure"] == spec["measure"]) & (rows["quantity"] == spec["quantity"])]
    taken = taken[taken["value"].notna() & (taken["status"] != "ok")]
    missing = len(runs) - int(np.isfinite(y.reindex(runs.index)).sum())
    counts = taken.groupby("status")["run_id"].nunique()
    said = [f"{missing} of {len(runs)} runs have no such number"] * bool(missing)
    return said + [f"{count} of {len(runs)} runs {status}" for status, count in counts.items()]
