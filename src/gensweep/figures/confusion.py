"""S3, S4: as more examples with random labels are added, do the measures rise with the test error?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gensweep.errors import InputError
from gensweep.figures.base import vary
from gensweep.figures.panels import ERRORS, chosen, figure_of, points
from gensweep.figures.sweeps import KINDS, left_out, line, lines, loose, measured, seeds, sound

TITLE = "Errors and measures against confusion-set size"
ALT = (
    "Seven panels against the number of randomly labelled examples: train and test error; four norm measures "
    "and max sharpness together, each on a scale from 0 to 1; and each by itself as log10, where a thin "
    "dashed line shows the norm over the margin of true and random labels together."
)
KNOB = "confusion_size"


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per panel, measure and confusion-set size the mean, min and max over n seeds.

    Norms are over γ² of the true-labelled training set, as is the sharpness; the panel ``union`` has the
    norms over γ² of train and confusion set together. Measures are of runs that reached the target loss.

    Error: The band is min–max over seeds, not a confidence interval.

    Source: Neyshabur et al. 2017 (1706.08947), figure 3 left and middle.
    """
    vary(table, KNOB)
    if table[KNOB].nunique() < 2:
        raise InputError("the table holds one confusion_size; this figure compares several")
    fitted = sound(table)
    rows = measured(fitted)
    union = over_union(fitted, rows)
    drawn = points(table, rows, KNOB, scaled=rows)
    if len(union):
        drawn = pd.concat([drawn, lines(union, ["kind", KNOB]).assign(panel="union")], ignore_index=True)
    drawn.attrs.update(said(drawn, rows, table))
    figure = figure_of(drawn, KNOB, frame)
    for axes, (name, kind) in zip(figure.axes[2:], KINDS.items(), strict=True):
        here = chosen(drawn, "union", name, KNOB)
        thin = kind._replace(line=(0, (2, 2)), colour="0.35", marker="")
        if len(here):
            line(axes, here[KNOB], here, thin, "over γ² of both sets")
    return figure, drawn


def over_union(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The norms over γ² of train and confusion set together; nothing where that γ is not positive."""
    gamma = table[(table["measure"] == "margin") & (table["quantity"] == "margin_p05")]
    by = {split: g.set_index("run_id")["value"] for split, g in gamma.groupby("split")}
    if "clean" not in by:
        return rows.iloc[:0]
    norms = rows[rows["kind"] != "sharpness"]
    same = norms[KNOB] == 0  # there both are one
    train, both = (
        np.log10(norms["run_id"].map(by[split].where(by[split] > 0))) for split in ("train", "clean")
    )
    shift = 2 * (train - both)
    return norms.assign(value=norms["value"] + shift.where(~same, 0.0))


def frame(axes: Axes, sizes: Sequence[float], small: bool) -> None:
    """The abscissa: every size, however few of them have a measure."""
    axes.set_xlim(-0.05 * sizes[-1], 1.05 * sizes[-1])
    axes.set_xlabel("random labels" if small else "examples with random labels added")
    axes.xaxis.set_major_locator(MaxNLocator(2 if small else 5, integer=True))


def message(drawn: pd.DataFrame) -> str:
    """Where errors and measures go, from the smallest to the largest confusion set."""
    error = {split: chosen(drawn, "error", split, KNOB)["mean"] for split in ERRORS}
    sizes = chosen(drawn, "error", "test", KNOB)[KNOB]
    rises = {name: chosen(drawn, "raw", name, KNOB)["mean"] for name in KINDS}
    words = [f"{KINDS[k].label} {v.iloc[-1] - v.iloc[0]:+.2f}".replace(" -", " −") for k, v in rises.items()]
    return (
        f"From {sizes.iloc[0]:g} to {sizes.iloc[-1]:g} random labels test error goes from "
        f"{error['test'].iloc[0]:.1%} to {error['test'].iloc[-1]:.1%}, train error on the true labels "
        f"from {error['train'].iloc[0]:.1%} to {error['train'].iloc[-1]:.1%}; in orders of magnitude "
        f"{', '.join(words)}."
    )


def said(drawn: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    train = int(table["train_size"].max())
    raw = drawn[drawn["panel"] == "raw"]
    protocol = (
        f"beside {train:,} true-labelled examples; mean, min–max band over seeds, {seeds(raw)} per point\n"
        "norms over γ² of the true-labelled set, grey: of both sets; sharpness of the true-labelled set"
    )
    flaws = "; ".join(filter(None, [left_out(table), loose(rows)]))
    return {
        "caption": f"{message(drawn)} {protocol[0].upper()}{protocol[1:]}. {flaws}".replace(
            "\n", "; "
        ).strip(),
        "footnote": f"{protocol}\n{flaws}".strip(),
        "filters": {"quantity": [k.quantity for k in KINDS.values()], "target_reached": [1]},
        "n": {f"{row.panel} {row.kind} {row.confusion_size:g}": int(row.n) for row in drawn.itertuples()},
    }
