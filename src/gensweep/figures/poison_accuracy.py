"""H5, T13 left: does a poisoned network still fit its training data while it stops generalising?"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gensweep.figures.base import COLUMN, absent, counted, flaws, numbers, vary

TITLE = "Accuracy against poison factor"
ALT = (
    "Line chart of accuracy against the poison factor β: a solid line for the training set and a dashed one "
    "for the test set, each the mean over seeds inside a band from the lowest to the highest seed."
)
LINES = {"train": ("-", "C0"), "test": ("--", "C2")}
WIDE = 20  # largest over smallest positive β from which a linear axis crowds the small ones


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per β and split the mean, min and max accuracy (fractions) over n seeds.

    Error: The band is min–max over seeds, not a confidence interval.

    Source: Huang et al. 2019 (1906.03291), accuracy against the level of poisoning.
    """
    vary(table, "poison_factor")
    rows = pd.concat([numbers(table, "error", "accuracy", split=split) for split in LINES])
    drawn = curves(rows)
    drawn.attrs.update(said(drawn, rows, table))
    figure = Figure(figsize=(COLUMN, 2.7), layout="constrained")
    axes = figure.add_subplot()
    for split in LINES:
        curve(axes, drawn[drawn["split"] == split], split)
    axes.set(xlabel="poison factor β", ylabel="accuracy", ylim=(-0.03, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    beta_axis(axes, drawn["poison_factor"].unique())
    axes.legend(loc="lower left")
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, min, max and n of the ``ok`` accuracies at each β, and how many others there are."""
    groups = rows.assign(ok=rows["value"].where(rows["status"] == "ok")).groupby(["poison_factor", "split"])
    drawn = groups["ok"].agg(["mean", "min", "max", "count"]).rename(columns={"count": "n"})
    return drawn.assign(not_ok=groups.size() - drawn["n"]).reset_index()


def curve(axes: Axes, points: pd.DataFrame, split: str) -> None:
    """Mean line and min–max band; a hollow mark on the floor where a run has no number."""
    line, colour = LINES[split]
    beta = points["poison_factor"]
    axes.fill_between(beta, points["min"], points["max"], color=colour, alpha=0.22, linewidth=0)
    axes.plot(beta, points["mean"], line, color=colour, marker="o", markersize=3, label=split)
    lost = points[points["not_ok"] > 0]
    if len(lost):
        axes.plot(
            lost["poison_factor"],
            [0.0] * len(lost),
            "o",
            mfc="none",
            color=colour,
            label=f"{split}: no number",
        )


def beta_axis(axes: Axes, betas: Collection[float]) -> None:
    """An axis that shows β = 0 beside decades: linear up to the smallest positive β, then logarithmic."""
    positive = [beta for beta in betas if beta > 0]
    if positive and max(positive) / min(positive) > WIDE:
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.6)
        axes.set_xticks([*betas], [f"{beta:g}" for beta in betas])
        axes.set_xlim(-min(positive) / 4, max(positive) * 1.2)


def said(drawn: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> dict:
    """The caption, the footnote and the numbers behind them."""
    n = drawn["n"]
    seeds = f"n = {n.min()}" if n.min() == n.max() else f"n = {n.min()} to {n.max()}"
    gone = absent(table, rows)
    lost = "; ".join(filter(None, [flaws(rows), counted(gone, "diverged or missing")]))
    means = drawn.pivot(index="poison_factor", columns="split", values="mean")
    first, last = means.iloc[0], means.iloc[-1]  # one row, where β was not swept
    caption = (
        f"From β = {first.name:g} to β = {last.name:g} training accuracy goes from {first.train:.1%} to "
        f"{last.train:.1%}, test accuracy from {first.test:.1%} to {last.test:.1%}. "
        f"Line: mean; band: minimum to maximum; {seeds} per point, over seeds. {lost or 'No run is missing'}."
    )
    return {
        "caption": caption,
        "footnote": f"mean, min–max band; {seeds} per point, over seeds" + (f"\n{lost}" if lost else ""),
        "filters": {"measure": "error", "quantity": "accuracy", "split": [*LINES], "status": "ok"},
        "n": {f"{row.split} β={row.poison_factor:g}": int(row.n) for row in drawn.itertuples()},
    }
