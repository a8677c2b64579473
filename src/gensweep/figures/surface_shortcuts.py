"""T5: do shortcuts keep the loss around a deep residual net's solution smooth and wide?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gensweep.figures.base import DOUBLE, flaws, numbers
from gensweep.figures.contours import (
    KEPT,
    KNOBS,
    PAIR,
    TOP,
    busiest,
    clipped,
    colour_bar,
    contours,
    curve,
    errors,
    grid,
    middle,
    one_seed,
    protocol,
    residual_nets,
    rises,
    shared,
    spread,
)  # fmt: skip

TITLE = "Loss surfaces of a deep residual net with and without shortcuts"
ALT = (
    "Two rows, a residual net with shortcuts and its twin without. In each a surface of the logarithm of the "
    "training loss over two directions, contours of the same plane, and the loss along the first direction "
    "with the stored statistics of batch norm and with re-estimated ones."
)
RUNS = "surface-shortcuts"
FLOOR = 1e-2  # nats: the lowest height that is drawn
HEIGHTS = (np.log10(FLOOR), np.log10(TOP))
MODES = {"fixed": ("o-", "C0"), "reestimated": ("s--", "C2")}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and the losses (nats) of both planes and of the lines through all seeds' solutions.

    Error: Exact for these nets and planes; of each net the run with the lowest seed. Lines: mean over seeds,
    band from lowest to highest.

    Source: Li et al. 2018 (1712.09913), figure 1.
    """
    losses = deepest(table)
    planes = one_seed(losses, ["model.shortcuts"])
    lines = pd.concat([middle(losses).assign(mode="fixed"), slices(table, losses).assign(mode="reestimated")])
    figure = Figure(figsize=(DOUBLE, 5.2), layout="constrained")
    panels = []
    for row, (shortcuts, name) in enumerate(PAIR.items()):
        plane = planes[planes["model.shortcuts"] == shortcuts]
        if plane.empty:
            continue
        title = f"{plane['model.depth'].iloc[0]:g} layers, {name}\n{errors(table, plane['run_id'].iloc[0])}"
        surface(figure.add_subplot(2, 3, 3 * row + 1, projection="3d"), plane, title)
        panels.append(figure.add_subplot(2, 3, 3 * row + 2))
        contours(panels[-1], plane)
        panels[-1].set_title(
            f"rise {spread(rises(losses[losses['model.shortcuts'] == shortcuts]))}", fontsize=7
        )
        panels[-1].set(xlabel="direction 1 (filter norms)", ylabel="direction 2")
        modes(figure.add_subplot(2, 3, 3 * row + 3), lines[lines["model.shortcuts"] == shortcuts])
    colour_bar(figure, panels)
    shared([axes for axes in figure.axes if axes.get_yscale() == "log"], room=0.4)
    drawn = pd.concat([planes.assign(mode="fixed"), lines])[[*KEPT, *KNOBS, "mode"]].drop_duplicates()
    drawn.attrs.update(said(drawn, losses))
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def deepest(table: pd.DataFrame) -> pd.DataFrame:
    """The losses over the planes of the deepest net of the usual width, with and without shortcuts."""
    losses = numbers(residual_nets(table), "surface", "loss", split="train")
    losses = losses[losses["model.width"] == busiest(losses, "model.width", "model.depth")]
    return losses[losses["model.depth"] == losses["model.depth"].max()]


def slices(table: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """The slices of the same runs with re-estimated statistics; none where none were measured."""
    rows = table[(table["measure"] == "slice") & (table["quantity"] == "loss")]
    return rows[rows["run_id"].isin(losses["run_id"]) & rows["settings"].str.contains('"reestimated"')]


def surface(axes: Any, plane: pd.DataFrame, title: str) -> None:
    """One plane in three dimensions: height log10 of the loss, clipped above and below."""
    x_M, y_N, z_NM = grid(plane)
    x_NM, y_NM = np.meshgrid(x_M, y_N)
    axes.plot_surface(
        x_NM, y_NM, height(z_NM), cmap="viridis", norm=Normalize(*HEIGHTS), rcount=len(y_N), ccount=len(x_M),
        edgecolor="0.2", linewidth=0.15, antialiased=True,
    )  # fmt: skip
    axes.set(zlim=HEIGHTS, xticks=(-1, 0, 1), yticks=(-1, 0, 1), zticks=(-2, -1, 0, 1))
    axes.set_zticklabels(["0.01", "0.1", "1", "10"])
    axes.tick_params(labelsize=6, pad=-3)
    axes.set_title(title, fontsize=7)
    axes.view_init(elev=28, azim=-60)
    axes.set_box_aspect((1, 1, 0.75), zoom=1.1)


def height(z_NM: np.ndarray) -> np.ndarray:
    """log10 of the loss, with what is above `TOP` or no number at its height, and `FLOOR` below.

    >>> height(np.array([0.0, 1.0, np.nan])).tolist()
    [-2.0, 0.0, 1.0]
    """
    return np.log10(np.maximum(clipped(z_NM), FLOOR))


def modes(axes: Axes, lines: pd.DataFrame) -> None:
    """The loss along the first direction, by either statistics of batch norm."""
    for mode, rows in lines.groupby("mode"):
        look, colour = MODES[str(mode)]
        curve(axes, rows, look, color=colour, label=f"{mode}, n = {rows['run_id'].nunique()}", markersize=2.5)
    axes.set(yscale="log", xlabel="direction 1 (filter norms)", ylabel="training loss (nats)")
    axes.legend(title="batch norm", title_fontsize=7, loc="upper center")


def also(table: pd.DataFrame) -> dict[str, bytes]:
    """Both surfaces as files for ParaView: height the clipped log10 of the loss, and the loss itself."""
    planes = one_seed(deepest(table), ["model.shortcuts"])
    return {
        f"surface-shortcuts-{PAIR[bool(shortcuts)].replace(' ', '-')}.vtk": vtk(plane)
        for shortcuts, plane in planes.groupby("model.shortcuts")
    }


def vtk(plane: pd.DataFrame, height: Callable[[np.ndarray], np.ndarray] = height) -> bytes:
    """A plane as a structured grid in VTK's legacy text format; what is no number has the loss `TOP`.

    Args:
        plane: Losses at x and y.
        height: Of a loss, in the picture.

    Source: VTK file formats, simple legacy formats.
    """
    x_M, y_N, z_NM = grid(plane)
    places = [(x, y) for y in y_N for x in x_M]
    points = [f"{x:g} {y:g} {h:.6g}" for (x, y), h in zip(places, height(z_NM).ravel(), strict=True)]
    losses = [f"{z:.6g}" for z in np.nan_to_num(z_NM, nan=TOP, posinf=TOP).ravel()]
    head = ["# vtk DataFile Version 3.0", f"training loss around run {plane['run_id'].iloc[0]}", "ASCII"]
    shape = ["DATASET STRUCTURED_GRID", f"DIMENSIONS {len(x_M)} {len(y_N)} 1", f"POINTS {len(points)} double"]
    data = [f"POINT_DATA {len(points)}", "SCALARS loss double 1", "LOOKUP_TABLE default"]
    return ("\n".join([*head, *shape, *points, *data, *losses]) + "\n").encode()


def said(drawn: pd.DataFrame, losses: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    rise = {name: rises(losses[losses["model.shortcuts"] == s]) for s, name in PAIR.items()}
    found = "; ".join(f"with {name} {spread(r)}" for name, r in rise.items() if len(r))
    seeds = ", ".join(map(str, sorted(one_seed(losses, ["model.shortcuts"])["seed"].unique())))
    lost = flaws(drawn)
    about = f"surfaces and contours: seed {seeds}, one scale, cut at 0.01 and 10 nats; crosses: not finite"
    lines = "right: mean and range over n seeds; rise: highest less lowest loss (nats), median (range)"
    return {
        "caption": f"Rise of the loss over the plane (nats): {found}. {protocol(losses)}. {lost}".strip(),
        "footnote": f"{about}\n{lines}\n{protocol(losses)}" + (f"; {lost}" if lost else ""),
        "filters": {"measure": ["surface", "slice"], "quantity": "loss", "split": "train", "status": "any"},
        "n": {name: len(r) for name, r in rise.items()},
    }
