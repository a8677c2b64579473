"""T4: from which batch size on does test accuracy fall and sharpness rise?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator, PercentFormatter

from gensweep.claims.statistic import estimate
from gensweep.figures import batches
from gensweep.figures.base import DOUBLE, numbers

RUNS = "large-batch-curves"
TITLE = "Test accuracy and sharpness against batch size"
ALT = (
    "One panel per network against the batch size on a logarithmic axis: test accuracy on the left axis "
    "(circles), sharpness on the right one (squares), solid where matched in epochs and dashed where "
    "matched in updates; bars reach from the lowest to the highest seed, hollow marks hold numbers that "
    "are not sound."
)
EPSILON = 1e-3
MARKS = {"accuracy": ("o", "C0"), "sharpness": ("s", "C2")}
DASHES = {"epochs": "-", "updates": "--"}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and mean, min and max of test accuracy (fraction) and sharpness (%) at each batch size.

    Error: Bars are min–max over seeds, not a confidence interval; the sharpness is a lower bound.

    Source: Keskar et al. 2017 (1609.04836), figure 4: the metric of the whole space at ε = 1e-3.
    """
    batches.check(table)
    rows = pd.concat(
        [
            numbers(table, "error", "accuracy", split="test").assign(what="accuracy"),
            numbers(table, "box_sharpness", "keskar_sharpness", x=EPSILON).assign(what="sharpness"),
        ]
    )
    drawn = batches.over_seeds(rows, ["what", "model.name", "data.name", "budget.match", "batch_size"])
    drawn.attrs.update(said(drawn, table, rows))
    names = batches.nets(drawn)
    figure = Figure(figsize=(DOUBLE, 3.4), layout="constrained")
    grid = figure.subplots(1, len(names), squeeze=False)[0]
    handles = [panel(axes, drawn[drawn["model.name"] == net]) for axes, net in zip(grid, names, strict=True)]
    figure.legend(handles=max(handles, key=len), loc="outside upper center", ncols=2, handlelength=3)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def panel(axes: Axes, own: pd.DataFrame) -> list[Any]:
    """One network: accuracy on the left, sharpness on the right; returns what a legend names."""
    right = axes.twinx()
    right.grid(visible=False)
    for (what, match), points in own.groupby(["what", "budget.match"]):
        with_start = started(own, points, str(match))
        here = axes if what == "accuracy" else right
        line(here, with_start, str(what), str(match))
    right.set(yscale="log", ylabel=f"sharpness, ε = {EPSILON:g} (%)")
    for places in (right.yaxis.set_major_formatter, right.yaxis.set_minor_formatter):
        places(LogFormatter(labelOnlyBase=False, minor_thresholds=(1.5, 0.6)))
    axes.set(xscale="log", xlabel="batch size", ylabel="test accuracy", title=batches.title(own))
    sizes = sorted(own["batch_size"].unique())
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    return [handle for side in (axes, right) for handle in side.get_legend_handles_labels()[0]]


def started(own: pd.DataFrame, points: pd.DataFrame, match: str) -> pd.DataFrame:
    """A curve matched in updates begins at the smallest batch, which is the same network in both."""
    if match == "epochs":
        return points
    first = own[(own["budget.match"] == "epochs") & (own["what"] == points["what"].iloc[0])]
    return pd.concat([first[first["batch_size"] == own["batch_size"].min()], points])


def line(axes: Axes, points: pd.DataFrame, what: str, match: str) -> None:
    """Mean and min–max bars, hollow where a number is not ``ok``."""
    marker, colour = MARKS[what]
    ends = np.abs(points[["min", "max"]].to_numpy().T - points["mean"].to_numpy())
    axes.errorbar(
        points["batch_size"], points["mean"], ends, color=colour, ls=DASHES[match], marker=marker, ms=4,
        capsize=2, elinewidth=0.8, label=f"{what}, as many {match}",
    )  # fmt: skip
    loose = points[points["not_ok"] > 0]
    axes.plot(loose["batch_size"], loose["mean"], marker, color=colour, mfc="white", ms=4, zorder=3)


def trends(rows: pd.DataFrame) -> str:
    """Spearman's ρ of batch size with either number, of the runs matched in epochs, within seeds."""
    found = []
    for net in batches.nets(rows):
        own = rows[(rows["model.name"] == net) & (rows["budget.match"] == "epochs")]
        said = ", ".join(f"{what} {trend(points):+.2f}" for what, points in own.groupby("what"))
        found.append(f"{batches.title(own)}: {said}")
    return "; ".join(found).replace(" -", " −")


def trend(points: pd.DataFrame) -> float:
    """Spearman's ρ of batch size and value within seeds, averaged."""
    value, batch = (points[column].to_numpy(dtype=float) for column in ("value", "batch_size"))
    return estimate("spearman", value, batch, points["seed"].to_numpy()).value


def said(drawn: pd.DataFrame, table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    what = (
        f"mean, bars from the lowest to the highest seed; {batches.many(drawn['n'])} seeds; one learning rate"
    )
    loose = "; hollow: not all sound" if (drawn["not_ok"] > 0).any() else ""
    lost = batches.doubts(table, rows)
    caption = (
        f"Rank correlation with the batch size within seeds, matched in epochs: {trends(rows)}. "
        f"{what}{loose}. Sharpness in the whole space, a lower bound. {lost}"
    )
    return batches.attributes(
        caption.strip(),
        what + loose + (f"\n{lost}" if lost else ""),
        {"measure": ["error", "box_sharpness"], "quantity": ["accuracy", "keskar_sharpness"], "x": EPSILON},
        {
            " ".join(map(str, cell)): int(own["n"].min())
            for cell, own in drawn.groupby(["what", *batches.CELL])
        },
    )
