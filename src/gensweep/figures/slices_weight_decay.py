"""T7: once directions are normalised by filters, is the solution of small batches the flatter one?"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gensweep.figures.base import DOUBLE, flaws, numbers, vary
from gensweep.figures.contours import (
    KEPT,
    colour_bar,
    curve,
    middle,
    one_seed,
    panel,
    protocol,
    rises,
    shared,
    spread,
)

TITLE = "Filter-normalised slices and planes of small-batch and large-batch solutions, by weight decay"
ALT = (
    "One row per weight decay. Left, the training loss along a filter-normalised direction through the "
    "solutions of both batch sizes, with stored and with re-estimated statistics of batch norm; right, "
    "contours of the loss over a plane through each, all on the same levels."
)
RUNS = "interpolation-weight-decay"
BATCH, DECAY = "batch_size", "optim.weight_decay"
LOOKS = (("C0", "o"), ("C1", "^"))  # small, large
MODES = {"fixed": "-", "reestimated": ":"}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the losses (nats) of each plane and line in it.

    Error: Exact for these nets and directions. Planes: of each net the run with the lowest seed. Lines: mean
    over seeds, band from lowest to highest.

    Source: Li et al. 2018 (1712.09913), figure 3.
    """
    vary(table, BATCH, DECAY)
    losses = numbers(table, "surface", "loss", split="train")
    planes = one_seed(losses, [BATCH, DECAY])
    again = table[(table["measure"] == "slice") & (table["quantity"] == "loss")]
    again = again[again["settings"].str.contains('"reestimated"')]
    lines = pd.concat([middle(losses).assign(mode="fixed"), again.assign(mode="reestimated")])
    decays, batches = sorted(losses[DECAY].unique()), sorted(losses[BATCH].unique())
    figure = Figure(figsize=(DOUBLE, 0.8 + 2.2 * len(decays)), layout="constrained")
    panels = figure.subplots(len(decays), 1 + len(batches), squeeze=False)
    for row, decay in zip(panels, decays, strict=True):
        slices(row[0], lines[lines[DECAY] == decay], f"weight decay {decay:g}")
        for axes, batch in zip(row[1:], batches, strict=True):
            here = losses[(losses[DECAY] == decay) & (losses[BATCH] == batch)]
            panel(axes, here, table, f"weight decay {decay:g}, batch {batch:g}")
    shared(list(panels[:, 0]))
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, handlelength=3
    )
    colour_bar(figure, list(panels[:, 1:].ravel()))
    drawn = pd.concat([planes.assign(mode="fixed"), lines])[[*KEPT, BATCH, DECAY, "mode"]].drop_duplicates()
    drawn.attrs.update(said(losses, lines))
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def slices(axes: Axes, lines: pd.DataFrame, title: str) -> None:
    """The loss along the first direction, by batch size and statistics of batch norm."""
    for (batch, rows), (colour, marker) in zip(lines.groupby(BATCH), LOOKS, strict=False):
        for mode, here in rows.groupby("mode"):
            label = f"batch {batch:g}, {mode}"
            curve(axes, here, MODES[str(mode)] + marker, color=colour, label=label, markersize=2.5)
    axes.set(
        yscale="log",
        title=title,
        xticks=(-1, 0, 1),
        xlabel="direction 1 (filter norms)",
        ylabel="training loss (nats)",
    )


def said(losses: pd.DataFrame, lines: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    nets = losses.groupby([DECAY, BATCH])
    found = "; ".join(
        f"weight decay {decay:g}, batch {batch:g}: {spread(rises(net))}" for (decay, batch), net in nets
    )
    seeds = ", ".join(map(str, sorted(one_seed(losses, [BATCH, DECAY])["seed"].unique())))
    lost = flaws(lines)
    about = (
        f"left: batch norm fixed or re-estimated, mean and range over seeds; right: seed {seeds}, one scale"
    )
    rise = (
        "rise: highest less lowest loss (nats), median (range), n seeds; cut at 10 nats; crosses: not finite"
    )
    return {
        "caption": f"Rise of the loss over the plane (nats): {found}. {protocol(losses)}. {lost}".strip(),
        "footnote": f"{about}\n{rise}\n{protocol(losses)}" + (f"; {lost}" if lost else ""),
        "filters": {"measure": ["surface", "slice"], "quantity": "loss", "split": "train", "status": "any"},
        "n": {
            f"weight decay {decay:g}, batch {batch:g}": int(net["run_id"].nunique())
            for (decay, batch), net in nets
        },
    }
