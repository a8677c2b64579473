"""T3: on the line through both solutions, is the large batch's minimum the narrower one?"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gensweep.errors import InputError
from gensweep.figures import batches
from gensweep.figures.base import DOUBLE, numbers, runs

RUNS = "large-batch-curves"
TITLE = "Loss and accuracy on the line between small and large batch"
ALT = (
    "One panel per network and match, against α from −1 to 2: cross-entropy on the left axis (circles), "
    "accuracy on the right one (triangles), solid for the training set and dashed for the test set. α = 0 "
    "is the solution of the small batch, α = 1 that of the large one; bands reach from the lowest to the "
    "highest seed."
)
LINES = {"train": "-", "test": "--"}
AXES = {"loss": ("o", "C0"), "accuracy": ("^", "C2")}
PANEL = ["model.name", "data.name", "budget.match"]
FLOOR = 1e-6  # nats: the loss axis is logarithmic
MODES = {
    "batch": "of the batch, as in Keskar's code",
    "interpolated": "interpolated with the weights",
    "fixed": "those of the large batch",
    "reestimated": "re-estimated at each point",
}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and mean, min and max of loss (nats) and accuracy (fraction) at each α of each panel.

    Error: The band is min–max over seeds, not a confidence interval.

    Source: Keskar et al. 2017 (1609.04836), figure 3 (e, f).
    """
    batches.check(table)
    rows = lines(table)
    drawn = batches.over_seeds(rows, [*PANEL, "batch_size", "small", "quantity", "split", "alpha"])
    drawn.attrs.update(said(drawn, table, rows))
    shown = [
        own
        for net in batches.nets(drawn)
        for _, own in drawn[drawn["model.name"] == net].groupby("budget.match")
    ]
    figure = Figure(figsize=(DOUBLE, 2.6 if len(shown) < 4 else 4.8), layout="constrained")
    grid = figure.subplots(-(-len(shown) // 3), min(len(shown), 3), squeeze=False)
    low, high = span(drawn)
    pairs = []
    for axes, own in zip(grid.flat, shown, strict=False):
        pairs.append((axes, panel(axes, own)))
        axes.set(ylim=(low, high), title=f"{batches.title(own)}\nas many {own['budget.match'].iloc[0]}")
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    label(pairs, grid.shape[1])
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Loss and accuracy of the runs of a large batch whose line goes to one of a small batch, at α.

    Raises:
        InputError: There is no such line.
    """
    rows = pd.concat([numbers(table, "interpolation", quantity) for quantity in AXES])
    sizes = runs(table)["batch_size"].astype(int)
    other = rows["settings"].map(lambda text: json.loads(text)["other"])
    small = other.map(sizes)
    found = rows.assign(small=small, alpha=1 - rows["x"])[small < rows["batch_size"].astype(int)]
    if found.empty:
        raise InputError(
            "no line in this table leads from a large batch to a smaller one: measure the runs of the large "
            "batch with measure=[interpolation] \"measure.interpolation.other='with batch_size=SMALL'\""
        )
    return found


def span(drawn: pd.DataFrame) -> tuple[float, float]:
    """The limits of the loss that all panels share, nats."""
    loss = drawn[drawn["quantity"] == "loss"]
    return max(loss["min"].min() / 2, FLOOR), 2 * float(loss["max"].max())


def panel(axes: Axes, points: pd.DataFrame) -> Axes:
    """One panel with loss on the left and accuracy on the right; returns the right axes."""
    right = axes.twinx()
    axes.set(yscale="log", xlabel="α", xticks=[-1, 0, 1, 2])
    right.set(ylim=(-0.03, 1.03))
    right.grid(visible=False)
    right.yaxis.set_major_formatter(PercentFormatter(1.0))
    for end in (0, 1):
        axes.axvline(end, color="black", linewidth=0.6)
    for quantity, split in itertools.product(AXES, LINES):
        marker, colour = AXES[quantity]
        curve = points[(points["quantity"] == quantity) & (points["split"] == split)]
        here = axes if quantity == "loss" else right
        low, high = (curve[c].clip(lower=FLOOR) if quantity == "loss" else curve[c] for c in ("min", "max"))
        here.fill_between(curve["alpha"], low, high, color=colour, alpha=0.2, linewidth=0)
        (drawn,) = here.plot(curve["alpha"], curve["mean"], LINES[split], color=colour, linewidth=1.2)
        drawn.set(marker=marker, markersize=3, markevery=4, label=f"{quantity}, {split}")
    return right


def label(pairs: list[tuple[Axes, Axes]], columns: int) -> None:
    """Name both axes at the edges of the grid, and the lines once."""
    for i, (left, right) in enumerate(pairs):
        if i % columns == 0:
            left.set_ylabel("cross-entropy (nats)", color=AXES["loss"][1])
        if i % columns == columns - 1 or i == len(pairs) - 1:
            right.set_ylabel("accuracy", color=AXES["accuracy"][1])
    handles = [line for axes in pairs[0] for line in axes.get_lines() if str(line.get_label())[0] != "_"]
    left = pairs[0][0]
    left.figure.legend(handles=handles, loc="outside upper center", ncols=4, handlelength=3)


def beyond(drawn: pd.DataFrame, alpha: float) -> pd.Series:
    """Mean training loss at one α, nats, per panel."""
    here = drawn[
        (drawn["quantity"] == "loss") & (drawn["split"] == "train") & (drawn["alpha"].round(6) == alpha)
    ]
    return here.set_index(["model.name", "budget.match"])["mean"]


def said(drawn: pd.DataFrame, table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    modes = sorted({json.loads(text)["batch_norm"] for text in rows["settings"].unique()})
    large, small = beyond(drawn, 1.25), beyond(drawn, -0.25)
    message = "; ".join(
        f"{batches.NETS.get(net, net)}, as many {match}: {large[net, match]:.3g} and {small[net, match]:.3g}"
        for net, match in itertools.product(batches.nets(drawn), batches.MATCHES)
        if (net, match) in large.index.intersection(small.index)
    )
    what = f"batch norm: statistics {' or '.join(MODES[m] for m in modes)}; mean, min–max band"
    ends = "α = 0: small batch, α = 1: large batch"
    lost = batches.doubts(table[table["run_id"].isin(rows["run_id"])], rows)
    footnote = f"{ends}; {batches.many(drawn['n'])} seeds\n{what}" + (f"\n{lost}" if lost else "")
    caption = (
        "Training loss (nats) a quarter of the line beyond the large batch and as far beyond the small one: "
        f"{message}. {ends}; {what}. {lost}"
    )
    return batches.attributes(
        caption.strip(),
        footnote,
        {"measure": "interpolation", "quantity": [*AXES], "batch_norm": modes},
        {" ".join(map(str, cell)): int(own["n"].min()) for cell, own in drawn.groupby(PANEL)},
    )
