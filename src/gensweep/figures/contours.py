"""What figures of loss surfaces share: the runs they show, contours on shared levels, curves with bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gensweep.figures.base import DOUBLE, flaws, numbers, runs, settings, vary

LEVELS = np.arange(0.1, 10, 0.5)  # nats, as in Li et al.
TOP = 10.0  # nats: what is higher, or no number, is drawn here
SCALE = Normalize(LEVELS[0], LEVELS[-1])
COLOURS = "summer"  # that of Li et al.; from dark to light, so that it survives without colour
KNOBS = ("model.depth", "model.width", "model.shortcuts")
KEPT = ["run_id", "seed", "measure", "quantity", "split", "x", "y", "value", "status"]
PAIR = {True: "shortcuts", False: "no shortcuts"}


def residual_nets(table: pd.DataFrame) -> pd.DataFrame:
    """The table, if nothing moves in it but depth, width and shortcuts.

    Raises:
        InputError: Something else does.
    """
    vary(table, *KNOBS, *({"model.name"} & set(table)))
    return table


def one_seed(rows: pd.DataFrame, knobs: Sequence[str]) -> pd.DataFrame:
    """The rows of one run for each value of the knobs, the lowest seed: no result can sway the choice."""
    first = runs(rows).reset_index().sort_values("seed")
    first = first.drop_duplicates([*knobs]) if knobs else first[:1]
    return rows[rows["run_id"].isin(first["run_id"])]


def busiest(table: pd.DataFrame, knob: str, over: str) -> Any:
    """The value of a knob at which another one takes the most values; the largest of several."""
    counts = runs(table).groupby(knob)[over].nunique()
    return counts[counts == counts.max()].index.max()


def grid(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The axes x_M and y_N and the values_NM of a plane."""
    square = rows.pivot(index="y", columns="x", values="value")
    return square.columns.to_numpy(), square.index.to_numpy(), square.to_numpy(dtype=float)


def clipped(z_NM: np.ndarray) -> np.ndarray:
    """The heights with all that is above `TOP` or no number at `TOP`.

    >>> clipped(np.array([1.0, np.nan, np.inf, 99.0])).tolist()
    [1.0, 10.0, 10.0, 10.0]
    """
    return np.minimum(np.nan_to_num(z_NM, nan=TOP, posinf=TOP), TOP)


def contours(axes: Axes, plane: pd.DataFrame) -> None:
    """Filled contours of one plane, its centre, and a cross at every point that is no sound number."""
    x_M, y_N, z_NM = grid(plane)
    shown_NM = clipped(z_NM)
    axes.contourf(x_M, y_N, shown_NM, LEVELS, cmap=COLOURS, norm=SCALE, extend="both", alpha=0.8)
    inside = LEVELS[(shown_NM.min() < LEVELS) & (shown_NM.max() > LEVELS)]
    if len(inside):
        lines = axes.contour(x_M, y_N, shown_NM, inside, colors="0.15", linewidths=0.4)
        axes.clabel(lines, inside[:: max(1, len(inside) // 5)], fontsize=5, fmt="%.1f")
    else:
        said = f"no level crossed:\nloss {short(z_NM.min())} to {short(z_NM.max())}"
        axes.text(0.5, 0.75, said, ha="center", va="center", fontsize=7, transform=axes.transAxes)
    odd = plane[plane["status"] != "ok"]
    axes.plot(odd["x"], odd["y"], "x", color="black", markersize=3, mew=0.6)
    axes.plot(0, 0, "+", color="black", markersize=5)
    square(axes, x_M, y_N)


def square(axes: Axes, x_M: np.ndarray, y_N: np.ndarray) -> None:
    """The frame of a plane: its own limits, nothing else."""
    axes.set(xlim=(x_M[0], x_M[-1]), ylim=(y_N[0], y_N[-1]), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set_aspect("equal")
    axes.grid(visible=False)


def colour_bar(figure: Any, axes: Any) -> None:
    """The scale of the contours of all panels."""
    label = "training loss (nats)"
    figure.colorbar(ScalarMappable(SCALE, COLOURS), ax=axes, label=label, pad=0.01, aspect=30, extend="both")


def matrix(table: pd.DataFrame, knob: str, column: str, fixed: str) -> tuple[Figure, pd.DataFrame]:
    """Contours of all nets that differ in one knob, with shortcuts above and without below.

    Args:
        table: Of residual nets.
        knob: What moves from column to column.
        column: The title of a column, with ``{}`` for its value.
        fixed: The other knob, which stays where the first takes the most values.

    Error: Exact for these nets and planes; of each net the run with the lowest seed.
    """
    table = residual_nets(table)
    losses = numbers(table, "surface", "loss", split="train")
    at = busiest(losses, fixed, knob)
    losses = losses[losses[fixed] == at]
    drawn = one_seed(losses, [knob, "model.shortcuts"])[[*KEPT, *KNOBS]]
    values = sorted(losses[knob].unique())
    figure = Figure(figsize=(DOUBLE, 5.0 if len(values) < 4 else 4.6), layout="constrained")
    panels = figure.subplots(2, len(values), sharex=True, sharey=True, squeeze=False)
    for row, shortcuts in zip(panels, PAIR, strict=True):
        for axes, value in zip(row, values, strict=True):
            here = losses[(losses[knob] == value) & (losses["model.shortcuts"] == shortcuts)]
            panel(axes, here, table, f"{column.format(f'{value:g}')}, {PAIR[shortcuts]}")
    for axes in panels[:, 0]:
        axes.set_ylabel("direction 2 (filter norms)")
    colour_bar(figure, panels)
    drawn.attrs.update(said(drawn, losses, table, knob, column))
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def panel(axes: Axes, losses: pd.DataFrame, table: pd.DataFrame, name: str) -> None:
    """Contours of the first seed of one net, under its name and errors; below, what all its seeds say."""
    if losses.empty:
        axes.text(0.5, 0.5, "no such run", ha="center", transform=axes.transAxes)
        axes.set_title(name)
        return
    plane = one_seed(losses, [])
    contours(axes, plane)
    axes.set_title(f"{name}\n{errors(table, plane['run_id'].iloc[0])}", fontsize=7)
    axes.set_xlabel(f"rise {spread(rises(losses))}", fontsize=7)


def errors(table: pd.DataFrame, run_id: str) -> str:
    """Training loss and test error of one run, in words."""
    run = table[table["run_id"] == run_id]
    found = run[run["measure"] == "error"].set_index(["quantity", "split"])["value"]
    loss, error = found.get(("loss", "train"), np.nan), found.get(("error", "test"), np.nan)
    return f"loss {loss:.2f}, test error {100 * error:.1f} %"


def rises(losses: pd.DataFrame) -> pd.Series:
    """Highest less lowest loss (nats) of each run; infinite where a point is no number."""
    values = losses["value"].where(np.isfinite(losses["value"]), np.inf).groupby(losses["run_id"])
    return values.max() - values.min()


def spread(values: pd.Series) -> str:
    """The median with range and n, in words.

    >>> spread(pd.Series([1.0, 2.0, 30.0]))
    '2 (1–30), n = 3'
    """
    middle, low, high = (short(v) for v in (values.median(), values.min(), values.max()))
    return f"{middle} ({low}–{high}), n = {len(values)}" if len(values) > 1 else f"{middle}, n = 1"


def short(value: float) -> str:
    """Two significant digits, whole numbers where it has more.

    >>> short(0.0123), short(1234.5), short(2.5e7), short(float("inf"))
    ('0.012', '1,234', '2.5e+07', '∞')
    """
    if np.isinf(value):
        return "∞"
    return f"{value:,.0f}" if 100 <= value < 1e6 else f"{value:.2g}"


def curve(axes: Axes, rows: pd.DataFrame, fmt: str = "-", **look: Any) -> None:
    """The mean over seeds of the values along x, with the band from lowest to highest."""
    points = rows.groupby("x")["value"].agg(["mean", "min", "max"])
    (line,) = axes.plot(points.index, points["mean"], fmt, **look)
    if rows["run_id"].nunique() > 1:
        axes.fill_between(points.index, points["min"], points["max"], color=line.get_color(), alpha=0.2, lw=0)


def shared(panels: list[Axes], room: float = 0.0) -> None:
    """The same limits of a logarithmic axis for all, with some of their height left free above."""
    low, high = min(a.get_ylim()[0] for a in panels), max(a.get_ylim()[1] for a in panels)
    for axes in panels:
        axes.set_ylim(low, high * (high / low) ** room)


def middle(losses: pd.DataFrame) -> pd.DataFrame:
    """The line y = 0 of planes; it is that of the slices, whose direction is the planes' first."""
    return losses[np.isclose(losses["y"].astype(float), 0)]


def protocol(losses: pd.DataFrame) -> str:
    """Grid, directions and statistics of the planes, in words."""
    made = settings(losses)
    grid_of = f"{made['points']} × {made['points']} points, two random filter-normalised directions"
    return f"{grid_of}, {images(losses)} without crops, batch norm {made['batch_norm']}"


def images(rows: pd.DataFrame) -> str:
    """How many training examples these runs have, in words."""
    sizes = rows["train_size"].dropna().unique()
    return f"{int(sizes[0])} training images" if len(sizes) == 1 else "all training images"


def said(
    drawn: pd.DataFrame, losses: pd.DataFrame, table: pd.DataFrame, knob: str, column: str
) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind a matrix of contours."""
    parts = []
    for shortcuts, name in PAIR.items():
        nets = losses[losses["model.shortcuts"] == shortcuts].groupby(knob)
        found = ", ".join(f"{spread(rises(net))} at {column.format(f'{value:g}')}" for value, net in nets)
        parts.append(f"With {name}: {found}." if found else f"With {name}: no run.")
    seeds = ", ".join(map(str, sorted(drawn["seed"].unique())))
    about = f"contours: seed {seeds}; rise: highest less lowest loss (nats), median (range) over n seeds"
    levels = "levels 0.1, 0.6, …, 9.6 nats, clipped at 10; crosses: not finite; equal epochs, unequal losses"
    lost = flaws(losses)
    return {
        "caption": " ".join(
            ["Rise of the loss over the plane (nats).", *parts, f"{protocol(losses)}. {lost}"]
        ).strip(),
        "footnote": f"{about}\n{levels}\n{protocol(losses)}" + (f"; {lost}" if lost else ""),
        "filters": {"measure": "surface", "quantity": "loss", "split": "train", "status": "any"},
        "n": {
            str(key): int(n)
            for key, n in losses.groupby([knob, "model.shortcuts"])["run_id"].nunique().items()
        },
    }
