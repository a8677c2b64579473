"""H1, H6, T12: what do decision boundary and loss surface look like as the poison factor grows?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gensweep.figures.base import DOUBLE, flaws, lowest_seed, numbers, settings, vary
from gensweep.figures.contours import grid
from gensweep.figures.surface_shortcuts import vtk

TITLE = "Decision boundaries and loss surfaces against poison factor"
ALT = (
    "A row of square maps of the probability of class 1 over the two inputs, one per poison factor, "
    "with the training points on top. Below, for the first and the last where measured, the logarithm of the "
    "training loss over two directions around the solution, as a surface and as contours."
)
MOST = 6  # columns that stay legible side by side
KEPT = ["run_id", "poison_factor", "seed", "measure", "quantity", "index", "x", "y", "value", "status"]
CLASSES = ((0, "o", "#2d004b"), (1, "^", "#7f3b08"))  # the dark ends of PuOr
SHADES = ListedColormap(matplotlib.colormaps["PuOr_r"](np.linspace(0.22, 0.78, 256)))  # its light middle
FLOOR = 1e-3  # nats: the lowest height that is drawn; a loss of 0 has no logarithm


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the probability, training points and loss (nats) of each map in it.

    Error: Exact for these networks and planes; one seed per β, the lowest.

    Source: Huang et al. 2019 (1906.03291), swissroll boundaries; Li et al. 2018 (1712.09913), surfaces.
    """
    vary(table, "poison_factor")
    drawn = maps(table)
    losses = drawn[drawn["measure"] == "surface"]
    drawn.attrs.update(said(drawn, table))
    shown = [run for _, run in drawn[drawn["measure"] == "boundary"].groupby("poison_factor")]
    heights = [0.8 + min(5.2 / len(shown), 1.7), 2.2 * bool(len(losses))]
    figure = Figure(figsize=(DOUBLE, sum(heights)), layout="constrained")
    above, *below = (
        figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0] if len(losses) else [figure]
    )
    row = above.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
    for axes, run in zip(row, shown, strict=True):
        filled = boundary(axes, run)
    row[0].set(xlabel="input x₁", ylabel="input x₂")
    above.colorbar(filled, ax=row, ticks=(0, 0.5, 1), label="P(class 1)", pad=0.01, aspect=12)
    for part in below:
        surfaces(part, losses)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def maps(table: pd.DataFrame) -> pd.DataFrame:
    """The boundary rows of the runs that are shown, and the surface rows of the first and the last."""
    boundary_rows = pd.concat([numbers(table, "boundary", q) for q in ("probability", "train_point")])
    betas = np.sort(boundary_rows["poison_factor"].unique())
    spread = betas[np.unique(np.linspace(0, len(betas) - 1, MOST).round().astype(int))]
    chosen = [lowest_seed(boundary_rows, beta) for beta in spread]
    ends = {chosen[0], chosen[-1]}
    losses = (table["measure"] == "surface") & (table["quantity"] == "loss")
    surface = table[losses & table["run_id"].isin(ends)]
    if surface["run_id"].nunique() < len(ends):
        surface = surface.iloc[:0]
    drawn = pd.concat([boundary_rows[boundary_rows["run_id"].isin(chosen)], surface])
    return drawn[KEPT].sort_values(["measure", "poison_factor", "quantity"], kind="stable", ignore_index=True)


def boundary(axes: Axes, run: pd.DataFrame) -> Any:
    """One map of P(class 1), the line where it is one half, and the training points."""
    x_M, y_N, p_NM = grid(run[run["quantity"] == "probability"])
    filled = axes.contourf(x_M, y_N, p_NM, np.linspace(0, 1, 11), cmap=SHADES)
    if np.nanmin(p_NM) < 0.5 < np.nanmax(p_NM):
        axes.contour(x_M, y_N, p_NM, [0.5], colors="black", linewidths=0.7)
    marks(axes, run)
    axes.set_title(f"β = {run['poison_factor'].iloc[0]:g}")
    axes.set_aspect("equal")
    axes.grid(visible=False)
    return filled


def marks(axes: Axes, run: pd.DataFrame) -> None:
    """The training points, each with the mark of its class."""
    points = run[run["quantity"] == "train_point"]
    for label, marker, colour in CLASSES:
        here = points[points["value"] == label]
        axes.scatter(here["x"], here["y"], 6, color=colour, marker=marker, edgecolors="white", linewidths=0.3)


def surfaces(figure: Any, losses: pd.DataFrame) -> None:
    """The loss around the first and the last solution, in three dimensions and as contours, on one scale."""
    heights = {beta: height(run) for beta, run in losses.groupby("poison_factor")}
    top = max(np.nanmax(z_NM) for *_, z_NM in heights.values())
    low = min(np.nanmin(z_NM) for *_, z_NM in heights.values())
    levels = MaxNLocator(14).tick_values(low, top)
    panels = []
    for i, (beta, (x_M, y_N, z_NM)) in enumerate(heights.items()):
        shown_NM = np.nan_to_num(z_NM, nan=top)
        relief(
            figure.add_subplot(1, 2 * len(heights), 2 * i + 1, projection="3d"), x_M, y_N, shown_NM, levels
        )
        axes = figure.add_subplot(1, 2 * len(heights), 2 * i + 2)
        filled = axes.contourf(x_M, y_N, shown_NM, levels, cmap="viridis")
        axes.contour(x_M, y_N, shown_NM, levels, colors="white", linewidths=0.3, linestyles="solid")
        axes.plot(0, 0, "+", color="white", markersize=6)
        axes.set(title=f"loss surface, β = {beta:g}", xlabel="direction 1 (filter norms)")
        axes.set_aspect("equal")
        axes.grid(visible=False)
        panels.append(axes)
    panels[0].set_ylabel("direction 2")
    figure.colorbar(filled, ax=panels, label="log₁₀ training loss (nats)", pad=0.01, format="%g", shrink=0.8)


def relief(axes: Any, x_M: np.ndarray, y_N: np.ndarray, z_NM: np.ndarray, levels: Any) -> None:
    """One surface, with the colours of the contours beside it."""
    x_NM, y_NM = np.meshgrid(x_M, y_N)
    axes.plot_surface(
        x_NM, y_NM, z_NM, cmap="viridis", vmin=levels[0], vmax=levels[-1], rcount=len(y_N), ccount=len(x_M),
        edgecolor="0.2", linewidth=0.1,
    )  # fmt: skip
    axes.set(zlim=(levels[0], levels[-1]), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.tick_params(labelsize=6, pad=-3)
    axes.view_init(elev=28, azim=-60)
    axes.set_box_aspect((1, 1, 0.8), zoom=1.05)


def also(table: pd.DataFrame) -> dict[str, bytes]:
    """Both surfaces as files for ParaView, with heights log10 of the loss; none where none was measured."""
    losses = maps(table)[lambda drawn: drawn["measure"] == "surface"]
    return {
        f"poison-boundaries-{beta:g}.vtk": vtk(run, logs) for beta, run in losses.groupby("poison_factor")
    }


def height(run: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The map of log10 loss; what is not finite becomes NaN, which is drawn at the top of the scale."""
    x_M, y_N, loss_NM = grid(run)
    return x_M, y_N, logs(np.where(np.isfinite(loss_NM), loss_NM, np.nan))


def logs(loss_NM: np.ndarray) -> np.ndarray:
    """log10 of losses, of those below `FLOOR` its own."""
    return np.log10(np.maximum(loss_NM, FLOOR))


def said(drawn: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    boundary_rows, losses = (drawn[drawn["measure"] == m] for m in ("boundary", "surface"))
    betas = boundary_rows["poison_factor"].unique()
    seeds = ", ".join(map(str, sorted(boundary_rows["seed"].unique())))
    one = f"one run per β (seed {seeds}), {len(betas)} of {table['poison_factor'].nunique()} poison factors"
    below = "no surface rows in this table: run with measure=surface to have them drawn below"
    if len(losses):
        points = settings(numbers(table, "surface", "loss"))["points"]
        below = f"surfaces: {points} × {points} points, two random filter-normalised directions, "
        below += f"one scale, cut at {FLOOR:g} nats"
    lost = flaws(drawn)
    caption = (
        f"Decision boundaries from β = {betas[0]:g} to β = {betas[-1]:g}; {one}.",
        "The black line is P = 0.5; circles and triangles are the training points of class 0 and 1.",
        f"{below[0].upper()}{below[1:]}. {lost}",
    )
    return {
        "caption": " ".join(caption).strip(),
        "footnote": f"{one}; circles, triangles: training points of class 0, 1\n{below}"
        + (f"; {lost}" if lost else ""),
        "filters": {"measure": ["boundary", "surface"], "run_id": sorted(drawn["run_id"].unique())},
        "n": {f"β={beta:g}": 1 for beta in betas},
    }
