"""S5, S6: as a two-layer net widens and generalises better, which measures fall with it?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gensweep.errors import InputError
from gensweep.figures.base import vary
from gensweep.figures.panels import chosen, figure_of, points
from gensweep.figures.sweeps import KINDS, left_out, loose, measured, seeds, sound

TITLE = "Errors and measures against hidden units"
ALT = (
    "Seven panels against the number of hidden units on a doubling axis: train and test error, hollow where "
    "the target loss was not reached; four norm measures and max sharpness together, each from 0 to 1; "
    "and each by itself as log10; lines are means over seeds, bands go from the lowest to the highest seed."
)
KNOB = "model.widths"
NARROW = 32  # hidden units below which the paper leaves its measures out


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per panel, measure and number of ``hidden`` units the mean, min and max over n seeds.

    Measures are of runs that reached the target loss; the normalised panel begins at 32 units, as theirs.

    Error: The band is min–max over seeds, not a confidence interval.

    Source: Neyshabur et al. 2017 (1706.08947), figure 4 left and middle.
    """
    vary(table, KNOB)
    table = table.assign(hidden=table[KNOB].map(hidden))
    if table["hidden"].nunique() < 2:
        raise InputError("the table holds one number of hidden units; this figure compares several")
    rows = measured(sound(table))
    drawn = points(table, rows, "hidden", scaled=rows[rows["hidden"] >= NARROW])
    drawn.attrs.update(said(drawn, rows, table))
    return figure_of(drawn, "hidden", frame), drawn


def hidden(widths: str) -> int:
    """The hidden units of a net with one hidden layer.

    Raises:
        InputError: It has more, or none.

    >>> hidden("[64]")
    64
    """
    if not re.fullmatch(r"\[\d+\]", str(widths)):
        raise InputError(f"{KNOB}={widths} is not one hidden layer, which this figure is about")
    return int(str(widths)[1:-1])


def frame(axes: Axes, widths: Sequence[float], small: bool) -> None:
    """The abscissa, in doublings; a small panel has room for three ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(widths[0] / 1.3, widths[-1] * 1.3)
    ticks = widths[:: max(1, -(-len(widths) // (3 if small else 11)))]
    axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("hidden units")


def message(drawn: pd.DataFrame) -> str:
    """Test error at both ends, and where each measure has its lowest value."""
    test = chosen(drawn, "error", "test", "hidden")
    words = []
    for name, kind in KINDS.items():
        here = chosen(drawn, "normalised", name, "hidden").dropna(subset="mean")
        if len(here):
            words.append(f"{kind.label} {here.loc[here['mean'].idxmin(), 'hidden']:g}")
    return (
        f"From {test['hidden'].iloc[0]:g} to {test['hidden'].iloc[-1]:g} hidden units test error goes from "
        f"{test['mean'].iloc[0]:.1%} to {test['mean'].iloc[-1]:.1%}. Units where each measure is lowest: "
        f"{', '.join(words) or 'none measured'}."
    )


def said(drawn: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    raw = drawn[drawn["panel"] == "raw"]
    protocol = (
        f"mean, min–max band over seeds, {seeds(raw)} per point; norms over γ²; "
        f"measures on a scale from 0 to 1 from {NARROW} units on"
    )
    flaws = "; ".join(filter(None, [left_out(table), loose(rows)]))
    return {
        "caption": f"{message(drawn)} {protocol[0].upper()}{protocol[1:]}. {flaws}".strip(),
        "footnote": f"{protocol}\n{flaws}".strip(),
        "filters": {"quantity": [k.quantity for k in KINDS.values()], "target_reached": [1]},
        "n": {f"{row.panel} {row.kind} {row.hidden:g}": int(row.n) for row in drawn.itertuples()},
    }
