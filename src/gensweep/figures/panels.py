"""Errors, normalised measures and raw ones along one knob: the panels of confusion and width. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gensweep.figures.base import DOUBLE, numbers
from gensweep.figures.sweeps import KINDS, Kind, line, lines, missed_target, normalised

ERRORS = {
    "train": Kind("error", "error", "train", "C0", "o", "-"),
    "test": Kind("error", "error", "test", "C2", "s", "--"),
}


def points(table: pd.DataFrame, rows: pd.DataFrame, knob: str, scaled: pd.DataFrame) -> pd.DataFrame:
    """All that is drawn: per panel, kind and value of the knob the mean, min and max over n seeds.

    Args:
        table: Every run, for the errors.
        rows: The measures of the runs that count, as log10.
        knob: The column along which they are drawn.
        scaled: Those of the measures that the normalised panel shows.
    """
    errors = [numbers(table, "error", "error", split=split).assign(kind=split) for split in ERRORS]
    parts = {
        "error": pd.concat(errors),
        "normalised": normalised(scaled, knob),
        "raw": rows,
    }
    drawn = [lines(part, ["kind", knob]).assign(panel=panel) for panel, part in parts.items()]
    missed = numbers(table, "error", "error", split="test")
    missed = missed[missed["run_id"].isin(missed_target(table))].groupby(knob).size()
    drawn[0] = drawn[0].assign(missed=drawn[0][knob].map(missed).fillna(0))
    return pd.concat(drawn, ignore_index=True)


def figure_of(drawn: pd.DataFrame, knob: str, frame: Callable[[Axes, Sequence[float], bool], None]) -> Figure:
    """Two panels above, five below.

    Args:
        drawn: What `points` says.
        knob: The column along the abscissa.
        frame: Sets the abscissa of a panel; told all values of the knob, and whether the panel is small.
    """
    figure = Figure(figsize=(DOUBLE, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 10, height_ratios=(1.25, 1))
    left, right = figure.add_subplot(grid[0, :5]), figure.add_subplot(grid[0, 5:])
    errors(left, drawn[drawn["panel"] == "error"], knob)
    for name, kind in KINDS.items():
        here = chosen(drawn, "normalised", name, knob)
        line(right, here[knob], here, kind)
    right.set_title("measures, each from its lowest to its highest value")
    for i, (name, kind) in enumerate(KINDS.items()):
        axes = figure.add_subplot(grid[1, 2 * i : 2 * i + 2])
        here = chosen(drawn, "raw", name, knob)
        line(axes, here[knob], here, kind)
        axes.set_title(kind.label)
        if i == 0:
            axes.set_ylabel("log₁₀ (sharpness: nats)")
    for i, axes in enumerate(figure.axes):
        frame(axes, sorted(drawn[knob].unique()), i >= 2)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=len(KINDS))
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure


def chosen(drawn: pd.DataFrame, panel: str, kind: str, knob: str) -> pd.DataFrame:
    """The points of one line."""
    return drawn[(drawn["panel"] == panel) & (drawn["kind"] == kind)].sort_values(knob)


def errors(axes: Axes, drawn: pd.DataFrame, knob: str) -> None:
    """Train and test error; hollow where a run did not reach the target loss."""
    for split, kind in ERRORS.items():
        here = drawn[drawn["kind"] == split].sort_values(knob)
        line(axes, here[knob], here, kind)
        open_ones = here[here["missed"] > 0]
        axes.plot(
            open_ones[knob], open_ones["mean"], kind.marker, color=kind.colour, mfc="white", markersize=4,
            label="above the target loss" if split == "test" and len(open_ones) else None,
        )  # fmt: skip
    axes.set_title("error")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_ylim(bottom=-0.05 * drawn["max"].max())
    axes.legend(loc="best")
