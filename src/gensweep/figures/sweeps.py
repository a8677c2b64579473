"""What the figures of Neyshabur et al. share: measures, runs that count, lines over seeds. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gensweep.figures.base import counted, flaws, numbers, runs


class Kind(NamedTuple):
    """A measure as a figure shows it.

    Args:
        measure: As in the column of that name.
        quantity: As in the column of that name.
        label: In a legend.
        colour: Of its line.
        marker: Of its points.
        line: Its dashes.
    """

    measure: str
    quantity: str
    label: str
    colour: str
    marker: str
    line: Any


KINDS = {
    "l2": Kind("norms", "log10_l2", "ℓ₂ norm", "C0", "o", "-"),
    "spectral": Kind("norms", "log10_spectral", "spectral norm", "C1", "s", "--"),
    "l1-path": Kind("path_norms", "log10_l1_path", "ℓ₁-path norm", "C2", "^", "-."),
    "l2-path": Kind("path_norms", "log10_l2_path", "ℓ₂-path norm", "C3", "D", ":"),
    "sharpness": Kind(
        "box_sharpness", "neyshabur_sharpness", "max sharpness", "C5", "v", (0, (5, 1, 1, 1, 1, 1))
    ),
}


def missed_target(table: pd.DataFrame) -> set[str]:
    """The runs that stopped above the loss they were to reach."""
    rows = table[(table["measure"] == "error") & (table["quantity"] == "target_reached")]
    return set(rows.loc[rows["value"] == 0, "run_id"])


def sound(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the runs that came down to their target loss, and ended at all."""
    ended = set(table.loc[(table["measure"] == "error") & table["value"].notna(), "run_id"])
    return table[table["run_id"].isin(ended - missed_target(table))]


def left_out(table: pd.DataFrame) -> str:
    """How many runs are not among the sound ones, and why, in words; empty when all are."""
    everyone, fitted = set(runs(table).index), set(runs(sound(table)).index)
    missed = missed_target(table)
    said = [
        counted(missed, "above the target loss left out"),
        counted(everyone - fitted - missed, "without an end left out"),
    ]
    return "; ".join(filter(None, said))


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of all `KINDS`, with a column ``kind``; sharpness as log10, nats.

    Raises:
        InputError: The table lacks one of them, or has sharpness at several half-widths.
    """
    found = []
    for name, kind in KINDS.items():
        rows = numbers(table, kind.measure, kind.quantity, split="train")
        if name == "sharpness":
            rows = rows[rows["x"] == rows["x"].min()]
            with np.errstate(divide="ignore"):
                rows = rows.assign(value=np.log10(rows["value"].clip(lower=0)))
        found.append(rows.assign(kind=name))
    rows = pd.concat(found, ignore_index=True)
    return rows.assign(value=rows["value"].where(np.isfinite(rows["value"])))


def lines(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, min, max and n over seeds of the numbers there are, and how many are not there or not ``ok``."""
    groups = rows.groupby([*by])
    drawn = groups["value"].agg(["mean", "min", "max", "count"]).rename(columns={"count": "n"})
    absent = groups["value"].agg(lambda values: int(values.isna().sum()))
    loose = groups["status"].agg(lambda status: int((status != "ok").sum()))
    return drawn.assign(absent=absent, not_ok=loose).reset_index()


def line(axes: Axes, x: pd.Series, points: pd.DataFrame, kind: Kind, label: str | None = None) -> None:
    """A mean line inside a band from the lowest to the highest seed."""
    axes.fill_between(x, points["min"], points["max"], color=kind.colour, alpha=0.18, linewidth=0)
    axes.plot(
        x, points["mean"], color=kind.colour, linestyle=kind.line, marker=kind.marker, markersize=3,
        label=kind.label if label is None else label,
    )  # fmt: skip


def normalised(rows: pd.DataFrame, sweep: str) -> pd.DataFrame:
    """Each measure of each seed, no longer a logarithm, on a scale from its lowest to its highest value.

    Args:
        rows: Of the measures, logarithms.
        sweep: The knob along which lowest and highest are sought.

    Source: Neyshabur et al. 2017, figures 3 and 4 middle, of one seed.
    """

    def scaled(values: pd.Series) -> pd.Series:
        linear = 10.0 ** (values - values.max())  # products of norms overflow
        reach = linear.max() - linear.min()
        return (linear - linear.min()) / reach if reach > 0 else linear * np.nan

    rows = rows.sort_values(sweep)
    return rows.assign(value=rows.groupby(["kind", "seed"])["value"].transform(scaled))


def loose(rows: pd.DataFrame) -> str:
    """How many of the numbers drawn are not ``ok``, measure by measure, in words."""
    parts = [(KINDS[name].label, flaws(points)) for name, points in rows.groupby("kind", sort=False)]
    return "; ".join(f"{label}: {words}" for label, words in parts if words)


def seeds(drawn: pd.DataFrame) -> str:
    """How many seeds stand behind a point."""
    n = drawn["n"]
    return f"n = {n.min()}" if n.min() == n.max() else f"n = {n.min()} to {n.max()}"
