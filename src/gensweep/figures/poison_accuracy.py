"""H5, T13 left: does a poisoned network still fit its training data while it stops generalising?"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gensweep.errors import InputError
from gensweep.figures.base import COLUMN, DOUBLE, absent, counted, flaws, numbers
from gensweep.figures.data_sets import by_data, labelled, title

TITLE = "Accuracy against poison factor"
ALT = (
    "Line chart of accuracy against the poison factor β, one panel per data set: a solid line for the "
    "training set and a dashed one for the test set, each the mean over seeds inside a band from the lowest "
    "to the highest seed."
)
LINES = {"train": ("-", "C0", "o"), "test": ("--", "C2", "s")}
WIDE = 10  # largest over smallest positive β from which a linear axis crowds the small ones


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per β and split the mean, min and max accuracy (fractions) over n seeds.

    Error: The band is min–max over seeds, not a confidence interval.

    Raises:
        InputError: No accuracy is ``ok``, or another knob moved.

    Source: Huang et al. 2019 (1906.03291), accuracy against the level of poisoning.
    """
    parts = by_data(table, "poison_factor")
    drawn = pd.concat([curves(accuracies(rows)).assign(data=name) for name, rows in parts.items()])
    drawn = drawn.reset_index(drop=True)
    if not drawn["n"].any():
        raise InputError("no accuracy in this table is ok, so that there is nothing to draw")
    drawn.attrs.update(said(drawn, parts))
    figure = Figure(figsize=(COLUMN if len(parts) == 1 else DOUBLE, 2.7), layout="constrained")
    panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, parts, strict=True):
        panel(axes, drawn[drawn["data"] == name])
        if len(parts) > 1:
            axes.set_title(title(name))
    panels[0].set(ylabel="accuracy", ylim=(-0.03, 1.03))
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    panels[0].legend(loc="lower left", handlelength=3)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """The accuracy of every run, on both splits."""
    return pd.concat([numbers(rows, "error", "accuracy", split=split) for split in LINES])


def panel(axes: Axes, points: pd.DataFrame) -> None:
    """Both curves of one data set."""
    for split in LINES:
        curve(axes, points[points["split"] == split], split)
    axes.set_xlabel("poison factor β")
    beta_axis(axes, points["poison_factor"].unique())


def curves(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, min, max and n of the ``ok`` accuracies at each β, and how many others there are."""
    groups = rows.assign(ok=rows["value"].where(rows["status"] == "ok")).groupby(["poison_factor", "split"])
    drawn = groups["ok"].agg(["mean", "min", "max", "count"]).rename(columns={"count": "n"})
    return drawn.assign(not_ok=groups.size() - drawn["n"]).reset_index()


def curve(axes: Axes, points: pd.DataFrame, split: str) -> None:
    """Mean line and min–max band; a hollow mark on the floor where a run has no number."""
    line, colour, mark = LINES[split]
    beta = points["poison_factor"]
    axes.fill_between(beta, points["min"], points["max"], color=colour, alpha=0.22, linewidth=0)
    axes.plot(beta, points["mean"], line, color=colour, marker=mark, markersize=3, label=split)
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
        shown = spread(sorted(betas))
        axes.set_xticks(shown, [f"{beta:.2g}" for beta in shown], rotation=45)
        axes.set_xlim(-min(positive) / 4, max(positive) * 1.2)


def spread(betas: list[float]) -> list[float]:
    """Those that can be labelled on a logarithmic axis: the last, and what is well below the next one.

    >>> spread([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    [0.0, 0.1, 0.2, 0.3, 0.5]
    """
    shown = betas[-1:]
    for beta in reversed(betas[:-1]):
        if beta == 0 or beta * 1.45 <= shown[-1]:
            shown.append(beta)
    return shown[::-1]


def said(drawn: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> dict:
    """The caption, the footnote and the numbers behind them."""
    n, several = drawn["n"], len(parts) > 1
    seeds = f"n = {n.min()}" if n.min() == n.max() else f"n = {n.min()} to {n.max()}"
    lost = "; ".join(filter(None, (lacking(rows, labelled(name, several)) for name, rows in parts.items())))
    messages = [labelled(name, several) + message(drawn[drawn["data"] == name]) for name in parts]
    caption = (
        f"{' '.join(messages)} "
        f"Line: mean; band: minimum to maximum; {seeds} per point, over seeds. {lost or 'No run is missing'}."
    )
    return {
        "caption": caption,
        "footnote": f"mean, min–max band; {seeds} per point, over seeds" + (f"\n{lost}" if lost else ""),
        "filters": {"measure": "error", "quantity": "accuracy", "split": [*LINES], "status": "ok"},
        "n": {
            f"{labelled(row.data, several)}{row.split} β={row.poison_factor:g}": int(row.n)
            for row in drawn.itertuples()
        },
    }


def lacking(rows: pd.DataFrame, where: str) -> str:
    """Which numbers are not sound, and how many runs have none."""
    found = accuracies(rows)
    lost = "; ".join(filter(None, [flaws(found), counted(absent(rows, found), "diverged or missing")]))
    return where + lost if lost else ""


def message(drawn: pd.DataFrame) -> str:
    """From where to where the accuracies go; one value, where β was not swept."""
    means = drawn.pivot(index="poison_factor", columns="split", values="mean").dropna()
    if means.empty:
        return "No poison factor has a sound accuracy on both sets."
    first, last = means.iloc[0], means.iloc[-1]
    return (
        f"From β = {first.name:g} to β = {last.name:g} training accuracy goes from {first.train:.1%} to "
        f"{last.train:.1%}, test accuracy from {first.test:.1%} to {last.test:.1%}."
    )
