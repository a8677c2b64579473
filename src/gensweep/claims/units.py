"""From the rows of a table to one number per run, or per pair of runs. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gensweep.errors import InputError
from gensweep.sweep.identity import SCIENCE

REDUCE = ("mean", "max", "min", "std", "range", "first", "last")
SELECT = ("measure", "quantity", "split", "index", "x", "y")
SPEC = (*SELECT, "reduce", "log", "minus")


def of_experiment(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The rows that these experiments asked for, at one scale.

    Raises:
        InputError: The table does not say what its rows were asked for, or holds an experiment at two scales.
    """
    if "experiment" not in table or not table["experiment"].any():
        raise InputError(
            "the table does not say which experiment its rows belong to; `gensweep collect --experiment "
            "NAME-SCALE` says so, and docs/tables has those of every figure"
        )
    asked = table["experiment"].str.rpartition("-")
    rows = table[asked[0].isin(names)]
    scales = sorted(asked.loc[rows.index, 2].unique())
    if len(scales) > 1:
        raise InputError(
            f"the table holds {' and '.join(names)} at the scales {' and '.join(scales)}; take one"
        )
    return rows


def within(rows: pd.DataFrame, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows whose knobs have these values.

    Raises:
        InputError: The table has no such knob.
    """
    for knob, wanted in where.items():
        if knob not in rows:
            raise InputError(f"the table has no column {knob}")
        rows = rows[rows[knob].map(lambda v, w=wanted: _is_one_of(v, w)).astype(bool)]
    return rows


def _is_one_of(value: Any, wanted: Any) -> bool:
    return any(same(value, one) for one in (wanted if isinstance(wanted, list) else [wanted]))


def same(value: Any, wanted: Any) -> bool:
    """Whether a cell holds what a yaml file says; a cell may be text where the knob is a list in other runs.

    >>> same("[64]", "[64]"), same(256.0, 256), same("true", True), same(float("nan"), None)
    (True, True, True, True)
    """
    if pd.isna(value) or wanted is None:
        return bool(pd.isna(value)) and wanted is None
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        return str(value).lower() == str(wanted).lower()


def numbers(rows: pd.DataFrame, spec: Mapping[str, Any]) -> pd.Series:
    """One number per run, under its name.

    Args:
        rows: Of the runs in question.
        spec: What to pick, by column; ``reduce`` where that is several rows of a run, ``log`` for log10;
            ``minus`` for the difference to what other values of some columns pick.

    Raises:
        InputError: It picks nothing, or several rows of one run and no way to make them one.
    """
    if "minus" in spec:
        first = {key: value for key, value in spec.items() if key != "minus"}
        return numbers(rows, first) - numbers(rows, {**first, **spec["minus"]})
    rows = picked(rows, spec)
    if rows.empty:
        raise InputError(f"no rows with {', '.join(f'{k}={v}' for k, v in spec.items())}")
    values = rows.groupby("run_id")["value"]
    if "reduce" in spec:
        found = _reduced(values, spec["reduce"])
    elif values.size().max() > 1:
        raise InputError(f"{values.size().max()} rows a run with {dict(spec)}; pick one, or reduce them")
    else:
        found = values.first()
    return np.log10(found.where(found > 0)) if spec.get("log") else found


def picked(rows: pd.DataFrame, spec: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that have the values of ``spec`` in the columns that it names."""
    for column in (c for c in SELECT if c in spec):
        wanted = spec[column]
        close = isinstance(wanted, float)
        rows = rows[np.isclose(rows[column].astype(float), wanted) if close else rows[column] == wanted]
    return rows


def _reduced(values: Any, how: str) -> pd.Series:
    return values.max() - values.min() if how == "range" else getattr(values, how)()


def moving(runs: pd.DataFrame) -> list[str]:
    """The knobs that take several values among these runs."""
    return [c for c in runs if c.partition(".")[0] in SCIENCE and runs[c].nunique(dropna=False) > 1]


def contrasted(
    y: pd.Series, runs: pd.DataFrame, contrast: Mapping[str, Sequence[Any]], pair: Sequence[str] | None
) -> pd.DataFrame:
    """The difference of y between two values of some knobs, for each pair of runs that is alike otherwise.

    Args:
        y: One number per run.
        runs: Run → its knobs.
        contrast: Knob → its value in the first and in the second run of a pair; several move together.
        pair: The knobs in which both runs of a pair agree; None takes all others that move.

    Returns:
        The first run's knobs with ``value``, one row per pair.

    Raises:
        InputError: Two runs stand for one side of a pair.
    """
    knobs = [k for k in moving(runs) if k not in contrast] if pair is None else [*pair]
    sides = []
    for side in (0, 1):
        here = within(runs, {knob: values[side] for knob, values in contrast.items()})
        here = here.assign(value=y.reindex(here.index), key=_keys(here, knobs))
        if here["key"].duplicated().any():
            raise InputError(f"several runs share {', '.join(knobs) or 'all knobs'} on one side of a pair")
        sides.append(here.set_index("key"))
    first, second = sides
    both = first.index.intersection(second.index)
    return first.loc[both].assign(value=first.loc[both, "value"] - second.loc[both, "value"])


def _keys(runs: pd.DataFrame, knobs: Sequence[str]) -> list[str]:
    return [str([str(value) for value in row]) for row in runs[list(knobs)].itertuples(index=False)]
