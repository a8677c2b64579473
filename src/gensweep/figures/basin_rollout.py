"""H7: how far can one walk from a good and from a bad minimum before the loss rises?"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, flaws, lowest_seed, numbers, settings, vary

TITLE = "Loss along random rays"
ALT = (
    "Two panels with equal axes of training loss against distance along random rays, one thin line per ray: "
    "left the minimum trained without or with the least poison, right the one with the most. "
    "Horizontal lines mark the cutoffs, dots the median radius at each."
)
KEPT = ["run_id", "poison_factor", "seed", "quantity", "index", "x", "value", "unit", "status", "reason"]


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the rollout (radius in ``x``, loss in nats) and radii (cutoff in ``x``) of two runs.

    Error: A line ends at the first scanned radius above the highest cutoff.

    Source: Huang et al. 2019 (1906.03291), loss along random directions of a good and a bad minimum.
    """
    vary(table, "poison_factor")
    betas = sorted(table["poison_factor"].unique())
    if len(betas) < 2:
        raise InputError(
            "the table holds one poison_factor; this figure compares the lowest with the highest"
        )
    chosen = [lowest_seed(table, beta) for beta in (betas[0], betas[-1])]
    rows = pd.concat([numbers(table, "basin", quantity) for quantity in ("rollout_loss", "radius")])
    drawn = pd.concat([rows.loc[rows["run_id"] == run, KEPT] for run in chosen], ignore_index=True)
    drawn.attrs.update(said(drawn, settings(rows), chosen))
    figure = Figure(figsize=(DOUBLE, 2.9), layout="constrained")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, run, beta in zip(panels, chosen, (betas[0], betas[-1]), strict=True):
        panel(axes, drawn[drawn["run_id"] == run], settings(rows)["relative"])
        axes.set_title(f"β = {beta:g}")
        axes.set_xlabel(f"radius along the ray ({settings(rows)['metric']} metric)")
    panels[0].set_ylabel("training loss (nats)")
    frame(panels[0], drawn, settings(rows)["relative"])
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def panel(axes: Axes, points: pd.DataFrame, relative: bool) -> None:
    """The rays of one run as thin lines, its cutoffs, and the median radius at each."""
    rays = points[(points["quantity"] == "rollout_loss") & (points["x"] > 0)]
    lines = [ray[["x", "value"]].to_numpy() for _, ray in rays.groupby("index")]
    axes.add_collection(LineCollection(lines, colors="C0", linewidths=0.5, alpha=0.25))
    levels = walls(points, relative)
    if not levels:
        axes.text(0.5, 0.5, "no basin: the loss is above every cutoff", transform=axes.transAxes, ha="center")
    for cutoff, level in levels.items():
        radius = medians(points)[cutoff]
        axes.axhline(level, color="C2", linewidth=0.8, linestyle=(0, (4, 2)))
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


def said(drawn: pd.DataFrame, basin: dict[str, Any], chosen: list[str]) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    cutoff = max(drawn.loc[drawn["quantity"] == "radius", "x"])
    good, bad = (medians(drawn[drawn["run_id"] == run]).get(cutoff, math.nan) for run in chosen)
    seeds = ", ".join(str(seed) for seed in sorted(drawn["seed"].unique()))
    height = "above the loss at the solution" if basin["relative"] else "above zero"
    lost = flaws(drawn)
    rays = f"{basin['directions']} rays, one run per panel (seed {seeds})"
    caption = (
        f"Median radius at the cutoff {cutoff:g} nats: {good:.3g} at the lowest β, {bad:.3g} at the highest.",
        f"{rays}. Dashed: cutoffs, in nats {height}; dots: median radius. {lost}",
    )
    return {
        "caption": " ".join(caption).strip(),
        "footnote": f"{rays}; dashed: cutoffs {height}; dots: median radius" + (f"\n{lost}" if lost else ""),
        "filters": {
            "measure": "basin",
            "quantity": ["rollout_loss", "radius"],
            "run_id": chosen,
        },
        "n": {f"β={beta:g}": int(run["index"].nunique()) for beta, run in drawn.groupby("poison_factor")},
    }
