"""The picture of how the cost of the measures grows, for docs/speed.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gensweep.figures.base import COLUMN

MARKERS = "os^vDP"
PANELS = ("grid points", "examples", "directions", "cutoffs", "draws", "networks", "parameters")


def curves(found: pd.DataFrame) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """(against, measure, network) and points of each curve, in the order of the table."""
    yield from found.groupby(["against", "measure", "network"], sort=False)


def picture(found: pd.DataFrame) -> Figure:
    """A panel per kind of size; median and quartiles over the rounds, and a line in proportion."""
    figure = Figure(figsize=(COLUMN, 6.2), layout="constrained")
    places = figure.add_gridspec(4, 2, height_ratios=(1, 1, 1, 1.7))
    for i, against in enumerate(PANELS):
        axes = figure.add_subplot(places[i // 2, i % 2] if i < 6 else places[3, :])
        panel(axes, against, [(m, n, points) for (a, m, n), points in curves(found) if a == against])
    drawn = found[found["against"].isin(PANELS)]
    rounds = "–".join(str(n) for n in sorted(drawn["n_rounds"].unique()))
    figure.supylabel("processor seconds, one thread", fontsize=8)
    figure.supxlabel(f"median and quartiles of n = {rounds} rounds; dashed: in proportion", fontsize=7)
    return figure


def panel(axes: Axes, against: str, lines: Sequence[tuple[str, str, pd.DataFrame]]) -> None:
    """The curves against one kind of size."""
    alike = len({measure for measure, _, _ in lines}) == 1
    for i, (measure, network, points) in enumerate(lines):
        spread = [points["seconds"] - points["low"], points["high"] - points["seconds"]]
        place = points["size"], points["seconds"], spread
        name = network if alike else f"{measure}, {network}"
        axes.errorbar(*place, color=f"C{i}", marker=MARKERS[i], markersize=3, label=name)
    title = f"{against}: {lines[0][0]}" if alike else against
    axes.set(xscale="log", yscale="log", title=title)
    if len(lines) > 1:
        axes.legend(fontsize=6, loc="best", handlelength=1.2, labelspacing=0.3, frameon=False)
    scales(axes, [points for _, _, points in lines])


def scales(axes: Axes, lines: Sequence[pd.DataFrame]) -> None:
    """Whole decades upwards, room for the legend to the right, and the line in proportion."""
    points = pd.concat(lines)
    sizes, bottom = sorted(points["size"].unique()), 10 ** math.floor(math.log10(points["seconds"].min()))
    axes.set_ylim(bottom, 10 ** math.ceil(math.log10(points["seconds"].max())))
    room = (sizes[-1] / sizes[0]) ** (0.5 if len(lines) > 1 else 0.05)
    axes.set_xlim(sizes[0] * 0.7, sizes[-1] * room)
    low, high = points["size"].min(), points["seconds"].min() / 2
    axes.axline((low, high), (10 * low, 10 * high), color="0.5", ls="--", lw=0.8)
    if len(lines) == 1:
        axes.set_xticks([sizes[0], sizes[-1]], [f"{size:,}" for size in (sizes[0], sizes[-1])])
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_minor_formatter("")
