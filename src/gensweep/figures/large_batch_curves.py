"""T1: does the large batch over-train, or does it stop at a lower test accuracy from early on?"""

from __future__ import annotations

import itertools
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gensweep.figures import batches
from gensweep.figures.base import DOUBLE, numbers

TITLE = "Accuracy while training, small and large batches"
ALT = (
    "Line charts of accuracy, one column per network: above against the epoch for batches matched in "
    "epochs, below against the number of updates for batches matched in updates. Solid lines are the "
    "training set, dashed ones the test set; circles the small batch, squares the large one; bands reach "
    "from the lowest to the highest seed."
)
LINES = {"train": "-", "test": "--"}
SIZES = {"small": ("o", "C0"), "large": ("s", "C2")}
BY = ["model.name", "data.name", "panel", "size", "batch_size", "split", "x"]


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the mean, min and max accuracy (fractions) of each curve at each kept epoch or update.

    Error: The band is min–max over seeds, not a confidence interval.

    Source: Keskar et al. 2017 (1609.04836), figure 2, which matches in epochs.
    """
    batches.check(table)
    rows = numbers(table, "curve", "accuracy")
    drawn = batches.over_seeds(shown(rows), BY)
    drawn.attrs.update(said(drawn, table, rows))
    names = batches.nets(drawn)
    figure = Figure(figsize=(DOUBLE, 4.9), layout="constrained")
    grid = figure.subplots(2, len(names), squeeze=False, sharey="col")
    for column, net in zip(grid.T, names, strict=True):
        own = drawn[drawn["model.name"] == net]
        for axes, panel in zip(column, batches.MATCHES, strict=True):
            curves(axes, own[own["panel"] == panel], panel)
        small, large = (own.loc[own["size"] == size, "batch_size"].iloc[0] for size in SIZES)
        column[0].set_title(f"{batches.title(own)}: batches of {small:g} and {large:g}")
    for axes in grid[:, 0]:
        axes.set_ylabel("accuracy")
    figure.legend(handles=grid[0, 0].lines, loc="outside upper center", ncols=4, handlelength=3.2)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The curves of the small and the large batch: epochs in the upper panel, updates in the lower one.

    The small batch is the same in both.
    """
    parts = []
    for _, own in rows.groupby("model.name"):
        small, large = batches.ends(own)
        for match in batches.MATCHES:
            first = own[(own["batch_size"] == small) & (own["budget.match"] == "epochs")]
            second = own[(own["batch_size"] == large) & (own["budget.match"] == match)]
            parts += [
                r.assign(panel=match, size=s) for s, r in (("small", first), ("large", second)) if len(second)
            ]
    found = pd.concat(parts)
    updates = (found["x"] * found["updates"].astype(float) / found["epochs"].astype(float)).round()
    return found.assign(x=found["x"].where(found["panel"] == "epochs", updates))


def curves(axes: Axes, points: pd.DataFrame, panel: str) -> None:
    """One panel: mean line and min–max band of each size and split."""
    axes.set_xlabel("epoch" if panel == "epochs" else "update")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if points.empty:
        axes.text(0.5, 0.5, "not matched in updates here", transform=axes.transAxes, ha="center")
    for size, split in itertools.product(SIZES, LINES) if len(points) else ():
        marker, colour = SIZES[size]
        curve = points[(points["size"] == size) & (points["split"] == split)]
        axes.fill_between(curve["x"], curve["min"], curve["max"], color=colour, alpha=0.2, linewidth=0)
        label = f"{size} batch, {split}"
        axes.plot(curve["x"], curve["mean"], LINES[split], color=colour, marker=marker, ms=3, label=label)


def gap(drawn: pd.DataFrame, net: str, panel: str) -> float:
    """Test accuracy of the large batch at the end minus that of the small one; NaN where one is missing."""
    own = drawn[(drawn["model.name"] == net) & (drawn["panel"] == panel) & (drawn["split"] == "test")]
    last = own.sort_values("x").groupby("size")["mean"].last()
    return float(last.get("large", float("nan")) - last.get("small", float("nan")))


def said(drawn: pd.DataFrame, table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    titles = {net: batches.title(drawn[drawn["model.name"] == net]) for net in batches.nets(drawn)}
    ends = [
        f"{title}: {100 * gap(drawn, net, 'epochs'):+.1f} points after "
        f"as many epochs, {100 * gap(drawn, net, 'updates'):+.1f} after as many updates"
        for net, title in titles.items()
    ]
    seeds = batches.many(drawn["n"])
    lost = batches.doubts(table, rows)
    what = f"above as many epochs, below as many updates; mean, min–max band; {seeds} seeds; no augmentation"
    message = f"Test accuracy of the large batch at the end, against the small one. {'; '.join(ends)}"
    return batches.attributes(
        f"{message.replace('+nan points', 'not measured')}. {what}. {lost}".strip(),
        what + (f"\n{lost}" if lost else ""),
        {
            "measure": "curve",
            "quantity": "accuracy",
            "batches": "the smallest, and the largest matched in updates",
        },
        {f"{r.panel} batch={r.batch_size:g} {r.split} x={r.x:g}": int(r.n) for r in drawn.itertuples()},
    )
