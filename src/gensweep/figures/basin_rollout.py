"""H7: how far can one walk from a good and from a bad minimum before the loss rises?"""

from __future__ import annotations

import math
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, flaws, lowest_seed, numbers, settings
from gensweep.figures.data_sets import by_data, labelled

TITLE = "Loss along random rays"
ALT = (
    "Per data set two panels with equal axes of training loss against distance along random rays, one thin "
    "line per ray: the minimum trained without or with the least poison, and the one with the most. "
    "Horizontal lines mark the cutoffs, dots the median radius at each."
)
RUNS = "poison-accuracy"
COLOURS = ("C0", "C2")  # of the good and of the bad minimum
KEPT = [
    "run_id",
    "data",
    "poison_factor",
    "seed",
    "quantity",
    "index",
    "x",
    "value",
    "unit",
    "status",
    "reason",
]


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the rollout (radius in ``x``, loss in nats) and radii (cutoff in ``x``) of two runs.

    Error: A line ends at the first scanned radius above the highest cutoff.

    Source: Huang et al. 2019 (1906.03291), loss along random directions of a good and a bad minimum.
    """
    parts = {name: ends(rows, name) for name, rows in by_data(table, "poison_factor").items()}
    drawn = pd.concat(parts.values(), ignore_index=True)
    notes = [said(run, labelled(name, len(parts) > 1)) for name, run in parts.items()]
    drawn.attrs.update(joined(notes))
    figure = Figure(figsize=(DOUBLE, 2.9 if len(parts) == 1 else 5.0), layout="constrained")
    alone = len(parts) == 1
    shape = (1, 2) if alone else (2, len(parts))
    along: Literal["row", "col"] = "row" if alone else "col"
    grid = figure.subplots(*shape, sharex=along, sharey=along, squeeze=False)
    for panels, (name, part) in zip(grid if alone else grid.T, parts.items(), strict=True):
        basin = part.attrs["basin"]
        for axes, colour, (run, beta) in zip(panels, COLOURS, part.attrs["betas"].items(), strict=True):
            panel(axes, part[part["run_id"] == run], basin["relative"], colour)
            axes.set_title(f"{labelled(name, len(parts) > 1)}β = {beta:g}")
        frame(panels[0], part, basin["relative"])
    for axes in grid[-1]:
        axes.set_xlabel(f"radius along the ray ({basin['metric']} metric)")
    for axes in grid[:, 0]:
        axes.set_ylabel("training loss (nats)")
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def ends(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rollout and radii of the run with the lowest and the one with the highest β, the lowest seed of each.

    Raises:
        InputError: The table holds one β.
    """
    betas = sorted(table["poison_factor"].unique())
    if len(betas) < 2:
        raise InputError(
            "the table holds one poison_factor; this figure compares the lowest with the highest"
        )
    chosen = [lowest_seed(table, beta) for beta in (betas[0], betas[-1])]
    rows = pd.concat([numbers(table, "basin", quantity) for quantity in ("rollout_loss", "radius")])
    drawn = pd.concat([rows[rows["run_id"] == run] for run in chosen], ignore_index=True)
    drawn = drawn.assign(data=name)[KEPT]
    drawn.attrs["basin"] = settings(rows)
    drawn.attrs["betas"] = dict(zip(chosen, (betas[0], betas[-1]), strict=True))
    return drawn


def panel(axes: Axes, points: pd.DataFrame, relative: bool, colour: str) -> None:
    """The rays of one run as thin lines, its cutoffs, and the median radius at each."""
    rays = points[(points["quantity"] == "rollout_loss") & (points["x"] > 0)]
    lines = [ray[["x", "value"]].to_numpy() for _, ray in rays.groupby("index")]
    axes.add_collection(LineCollection(lines, colors=colour, linewidths=0.5, alpha=0.25))
    levels = walls(points, relative)
    if not levels:
        axes.text(0.5, 0.5, "no basin: the loss is above every cutoff", transform=axes.transAxes, ha="center")
    for cutoff, level in levels.items():
        radius = medians(points)[cutoff]
        axes.axhline(level, color="0.3", linewidth=0.8, linestyle=(0, (4, 2)))
        axes.plot(radius, level, "o", color="black", markersize=3.5, zorder=3)
        axes.annotate(f"{radius:.2g}", (radius, level), (5, 2), textcoords="offset points", fontsize=7)


def medians(points: pd.DataFrame) -> dict[float, float]:
    """Cutoff → median radius of the rays, those that never crossed counted at max_radius."""
    return points[points["quantity"] == "radius"].groupby("x")["value"].median().to_dict()


def walls(points: pd.DataFrame, relative: bool) -> dict[float, float]:
    """Cutoff → loss at which the basin ends there, nats."""
    at_solution = points[(points["quantity"] == "rollout_loss") & (points["x"] == 0)]["value"]
    base = at_solution.iloc[0] if relative and len(at_solution) else 0.0
    return {cutoff: base + cutoff for cutoff in medians(points)}


def frame(axes: Axes, drawn: pd.DataFrame, relative: bool) -> None:
    """The limits that both panels share: from well inside the smallest radius to the last one walked to."""
    inner = drawn.loc[drawn["quantity"] == "radius", "value"].min() / 10
    outer = drawn.loc[drawn["quantity"] == "rollout_loss", "x"].max()
    highest = max(level for _, run in drawn.groupby("run_id") for level in walls(run, relative).values())
    axes.set(xscale="log", xlim=(inner, outer), ylim=(0, 1.3 * highest))


def said(drawn: pd.DataFrame, where: str) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them, of one data set."""
    cutoff = drawn.loc[drawn["quantity"] == "radius", "x"].max()
    chosen, basin = drawn.attrs["betas"], drawn.attrs["basin"]
    good, bad = (medians(drawn[drawn["run_id"] == run]).get(cutoff, math.nan) for run in chosen)
    low, high = chosen.values()
    seeds = ", ".join(str(seed) for seed in sorted(drawn["seed"].unique()))
    lost = flaws(drawn)
    rays = f"{where}{basin['directions']} rays, one run per panel (seed {seeds})"
    caption = (
        f"{where}median radius at the cutoff {cutoff:g} nats {good:.3g} at β = {low:g}, {bad:.3g} at",
        f"β = {high:g}; {basin['directions']} rays, one run per panel (seed {seeds}). {lost}",
    )
    return {
        "caption": " ".join(caption).strip(),
        "footnote": f"{rays}" + (f"; {lost}" if lost else ""),
        "run_id": [*chosen],
        "n": {
            f"{where}β={beta:g}": int(drawn.loc[drawn["run_id"] == run, "index"].nunique())
            for run, beta in chosen.items()
        },
        "height": "above the loss at the solution" if basin["relative"] else "above zero",
    }


def joined(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """What is said of all data sets together."""
    legend = f"dashed: cutoffs {notes[0]['height']}; dots: median radius"
    return {
        "caption": " ".join(note["caption"] for note in notes) + f" {legend[0].upper()}{legend[1:]}.",
        "footnote": "\n".join([*(note["footnote"] for note in notes), legend]),
        "filters": {
            "measure": "basin",
            "quantity": ["rollout_loss", "radius"],
            "run_id": [run for note in notes for run in note["run_id"]],
        },
        "n": {key: count for note in notes for key, count in note["n"].items()},
    }
