"""T10: is the loss around a residual net's solution nearly convex, and without shortcuts not?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gensweep.figures.base import DOUBLE, numbers, runs, settings
from gensweep.figures.contours import KEPT, KNOBS, PAIR, errors, grid, one_seed, residual_nets, spread

TITLE = "Smallest over largest eigenvalue of the Hessian over the plane"
ALT = (
    "Heat maps of the absolute ratio of the smallest to the largest eigenvalue of the Hessian over two "
    "directions through the solution, for a residual net with and without shortcuts, on one scale from 0 to "
    "0.5; beside them the mean over the plane of every seed."
)
RUNS = "surface-shortcuts"
RATIO = r"$|\lambda_{\min}/\lambda_{\max}|$"
HIGHEST = 0.5  # of the colour scale, as in Li et al.


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the ratios of all seeds.

    Error: A ratio is right to the residuals of its Lanczos run; a dot marks where they allow more than 1 %.

    Source: Li et al. 2018 (1712.09913), figure 7; all parameters, where they took weights alone.
    """
    ratios = numbers(residual_nets(table), "hessian_ratio", "ratio", split="train")
    planes = one_seed(ratios, ["model.shortcuts"])
    figure = Figure(figsize=(DOUBLE, 2.9), layout="constrained")
    *maps, means = figure.subplots(1, 3)
    for axes, (shortcuts, name) in zip(maps, PAIR.items(), strict=True):
        plane = planes[planes["model.shortcuts"] == shortcuts]
        if len(plane):
            image = heat(axes, plane)
            axes.set_title(f"{size(plane)}, {name}\n{errors(table, plane['run_id'].iloc[0])}", fontsize=7)
    maps[0].set_ylabel("direction 2")
    figure.colorbar(image, ax=maps, label=RATIO, extend="max", pad=0.01, aspect=20)
    strip(means, ratios)
    drawn = ratios[[*KEPT, "stderr", *KNOBS]]
    drawn.attrs.update(said(ratios, planes))
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def size(plane: pd.DataFrame) -> str:
    """Depth and width of the net, in words."""
    return f"{plane['model.depth'].iloc[0]:g} layers, k = {plane['model.width'].iloc[0]:g}"


def heat(axes: Axes, plane: pd.DataFrame) -> Any:
    """One heat map; no colour where there is no ratio, a dot where it has not converged."""
    x_M, y_N, ratio_NM = grid(plane)
    image = axes.pcolormesh(x_M, y_N, ratio_NM, cmap="viridis", vmin=0, vmax=HIGHEST, shading="nearest")
    loose = plane[plane["status"] == "not_converged"]
    axes.plot(loose["x"], loose["y"], ".", color="white", markersize=2.5, mec="black", mew=0.3)
    none = plane[~np.isfinite(plane["value"])]
    axes.plot(none["x"], none["y"], "x", color="black", markersize=4)
    axes.set(xlabel="direction 1 (filter norms)", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_aspect("equal")
    axes.grid(visible=False)
    return image


def means_of(ratios: pd.DataFrame) -> pd.DataFrame:
    """Run → the mean of its finite ratios, its seed and whether it has shortcuts."""
    finite = ratios[np.isfinite(ratios["value"])]
    return runs(finite)[["seed", "model.shortcuts"]].assign(mean=finite.groupby("run_id")["value"].mean())


def strip(axes: Axes, ratios: pd.DataFrame) -> None:
    """The mean over the plane of every run, pairs of one seed joined."""
    means = means_of(ratios)
    for _, pair in means.groupby("seed"):
        there = pair.sort_values("model.shortcuts", ascending=False)
        axes.plot(
            [list(PAIR).index(s) for s in there["model.shortcuts"]], there["mean"], "o-", color="C0", lw=0.8
        )
    axes.set(
        xticks=(0, 1),
        xticklabels=list(PAIR.values()),
        xlim=(-0.4, 1.4),
        ylabel=f"{RATIO}, mean over the plane",
    )
    axes.set_ylim(0, 1.15 * means["mean"].max())
    axes.set_title("one line per seed", fontsize=7)


def said(ratios: pd.DataFrame, planes: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    made, means = settings(ratios), means_of(ratios)
    found = {name: means.loc[means["model.shortcuts"] == s, "mean"] for s, name in PAIR.items()}
    message = "; ".join(f"with {name} {spread(values)}" for name, values in found.items() if len(values))
    examples = "all" if made["examples"] is None else made["examples"]
    how = f"{made['points']}² points, {made['steps']} Lanczos steps, {examples} training images"
    loose = ratios[ratios["status"] == "not_converged"]
    none = int((~np.isfinite(ratios["value"])).sum())
    dots = (
        f"dots: {len(loose)} of {len(ratios)} points where the residuals allow an error above 1 % of λ_max "
        f"(median bound {loose['stderr'].median():.2g})"
        if len(loose)
        else ""
    )
    crosses = f"crosses: {none} of {len(ratios)} points without a ratio" if none else ""
    seeds = ", ".join(map(str, sorted(planes["seed"].unique())))
    return {
        "caption": f"Mean |λmin/λmax| over the plane, median (range): {message}. {how}. "
        f"{dots} {crosses}".strip(),
        "footnote": "\n".join(filter(None, [f"maps: seed {seeds}; {how}", dots, crosses])),
        "filters": {"measure": "hessian_ratio", "quantity": "ratio", "status": "any"},
        "n": {name: len(values) for name, values in found.items()},
    }
