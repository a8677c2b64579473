"""H8, T13 right: do networks that generalise worse sit in smaller basins?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gensweep.claims.statistic import Estimate, estimate
from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, absent, counted, flaws, numbers, settings
from gensweep.figures.data_sets import by_data, labelled

TITLE = "Basin volume against generalisation gap"
ALT = (
    "Scatter plots of log10 basin volume against the generalisation gap, one mark per run and cutoff, with a "
    "colour and a shape for each cutoff and error bars; hollow marks are not sound, mostly lower bounds. "
    "A panel for each way to estimate the volume and each data set."
)
PANELS = {
    "log10_volume": "rays, log₁₀ E[rⁿ]",
    "log10_volume_jensen": "rays, Jensen bound n·E[log₁₀ r]",
    "log10_volume_preconditioned": "preconditioned rays",
    "log10_local_volume": "Gaussian local volume",
    "log10_volume_trace": "trace of the Hessian",
}
MARKS = "os^Dv"
RUNS = "poison-accuracy"
FITS = 0.95  # train accuracy that counts as fitting
KEPT = [
    "run_id",
    "data",
    "poison_factor",
    "seed",
    "quantity",
    "cutoff",
    "gap",
    "gap_stderr",
    "value",
    "stderr",
    "status",
    "reason",
]


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and one row per run, cutoff and estimator: gap (fraction) and log10 volume.

    Error: Bars are one standard error; the interval of ρ resamples runs.

    Source: Huang et al. 2019 (1906.03291), volume against generalisation gap, for several cutoffs.
    """
    parts = by_data(table, "poison_factor")
    drawn = pd.concat([pairs(rows, name) for name, rows in parts.items()], ignore_index=True)
    drawn.attrs.update(said(drawn, parts))
    shown = [quantity for quantity in PANELS if (drawn["quantity"] == quantity).any()]
    cells = [(quantity, name) for quantity in shown for name in parts]
    rows = -(-len(cells) // 2)
    figure = Figure(figsize=(DOUBLE, 0.5 + 2.4 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, sharex=len(parts) == 1, squeeze=False)
    for axes, (quantity, name) in zip(panels.flat, cells, strict=False):
        panel(axes, drawn[(drawn["quantity"] == quantity) & (drawn["data"] == name)])
        axes.set_title(labelled(name, len(parts) > 1) + PANELS[quantity])
    for axes in panels.flat[len(cells) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel("log₁₀ volume (orders)")
    below = 10 * drawn["cutoff"].nunique()  # points: the legend stands between axis and label
    for axes in panels[-1]:
        axes.set_xlabel("generalisation gap, test − train error", labelpad=below)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def pairs(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Volume and gap of every run on one data set, per cutoff and estimator, whatever the status of either.

    Raises:
        InputError: The table has no volumes, or no gaps.
    """
    basin = table[table["measure"] == "basin"]
    volume = basin[basin["quantity"].isin(PANELS)]
    if volume.empty:
        raise InputError(f"the table has no volumes of the measure basin for {name}")
    gap = numbers(table, "error", "gap_error").set_index("run_id")
    drawn = volume.assign(
        data=name,
        cutoff=volume["x"],
        gap=volume["run_id"].map(gap["value"]),
        gap_stderr=volume["run_id"].map(gap["stderr"]),
    )
    return drawn[KEPT].sort_values(["quantity", "cutoff", "poison_factor", "seed"], ignore_index=True)


def correlation(gap: Any, volume: Any) -> Estimate:
    """Spearman's ρ of the pairs that are finite, and its interval."""
    return estimate("spearman", np.asarray(volume, dtype=float), np.asarray(gap, dtype=float))


def signed(rho: Estimate) -> str:
    """As in a legend.

    >>> signed(Estimate(-0.5, -0.75, 0.25, 9))
    '−0.50 [−0.75, +0.25]'
    """
    if np.isnan(rho.value):
        return "undefined"
    return f"{rho.value:+.2f} [{rho.low:+.2f}, {rho.high:+.2f}]".replace("-", "−")


def panel(axes: Axes, points: pd.DataFrame) -> None:
    """One estimator on one data set: a colour and a mark per cutoff, hollow where it is not ``ok``."""
    axes.xaxis.set_major_formatter(lambda gap, _: f"{100 * gap:g} %")
    if points["value"].isna().all():
        axes.set_axis_off()
        axes.text(0.5, 0.5, "not measured on this data set", transform=axes.transAxes, ha="center")
        return
    cutoffs = points["cutoff"].unique()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(cutoffs)))
    for cutoff, colour, mark in zip(cutoffs, colours, MARKS, strict=False):
        here = points[points["cutoff"] == cutoff]
        rho = correlation(here["gap"], here["value"])
        axes.plot([], [], mark, color=colour, label=f"{cutoff:g} nats: ρ = {signed(rho)}, n = {rho.n}")
        axes.errorbar(
            here["gap"], here["value"], here["stderr"], fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.6
        )
        ok = here["status"] == "ok"
        axes.plot(here["gap"][ok], here["value"][ok], mark, color=colour)
        axes.plot(here["gap"][~ok], here["value"][~ok], mark, color=colour, mfc="white", mew=0.9)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), labelspacing=0.2, borderpad=0)


def said(drawn: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    several = len(parts) > 1
    walks = [labelled(name, several) + rays(rows) for name, rows in parts.items()]
    relative = settings(numbers(next(iter(parts.values())), "basin", "log10_volume"))["relative"]
    height = "above the loss at the solution" if relative else "above zero"
    legend = (
        f"below each panel the cutoffs in nats {height}, Spearman's ρ [95 % interval] and the number of runs"
    )
    doubts = [
        labelled(n, several) + missing(rows, drawn) for n, rows in parts.items() if missing(rows, drawn)
    ]
    lost = "; ".join(filter(None, [hollow(drawn), *doubts]))
    strong = " ".join(labelled(n, several) + overall(drawn[drawn["data"] == n]) for n in parts)
    return {
        "caption": f"{strong} {'; '.join(walks)}. {lost}".strip(),
        "footnote": "\n".join([legend, "bars: one standard error over rays", *walks, lost]).strip(),
        "filters": {"measure": "basin", "quantity": [*PANELS], "gap": "gap_error", "status": "any"},
        "n": {
            f"{labelled(d, several)}{q} {c:g}": int(g["value"].notna().sum())
            for (d, q, c), g in drawn.groupby(["data", "quantity", "cutoff"])
        },
    }


def rays(table: pd.DataFrame) -> str:
    """How many rays and dimensions, and the metric."""
    basin = settings(numbers(table, "basin", "log10_volume"))
    n = numbers(table, "basin", "dimensions")["value"].max()
    return f"K = {basin['directions']} rays, n = {n:g} dimensions, {basin['metric']} metric"


def hollow(drawn: pd.DataFrame) -> str:
    """What the hollow marks are, and which numbers do not exist and so have no mark."""
    found = flaws(drawn)
    return f"hollow, not sound: {found}" if found else ""


def missing(table: pd.DataFrame, drawn: pd.DataFrame) -> str:
    """How many runs have no volume, stopped above the loss they were to reach, or do not fit."""
    stopped = table[(table["quantity"] == "target_reached") & (table["value"] == 0)]
    here = drawn[drawn["run_id"].isin(table["run_id"])]
    gone = counted(absent(table, here), "diverged or missing")
    fits = numbers(table, "error", "accuracy", split="train")
    loose = counted(fits[fits["value"] < FITS], f"below {FITS:.0%} train accuracy")
    return "; ".join(filter(None, [gone, counted(stopped, "did not reach the target loss"), loose]))


def overall(drawn: pd.DataFrame) -> str:
    """The message: how far the correlations of all cutoffs and estimators reach, over how many runs each."""
    groups = drawn.groupby(["quantity", "cutoff"])
    every = [correlation(points["gap"], points["value"]) for _, points in groups]
    found = pd.DataFrame([rho for rho in every if not np.isnan(rho.value)], columns=Estimate._fields)
    if found.empty:
        return "Too few runs for a rank correlation of volume with the gap."
    span = f"{found['value'].min():+.2f} to {found['value'].max():+.2f}"
    bounds = f"{found['low'].min():+.2f} to {found['high'].max():+.2f}"
    seeds, betas = drawn["seed"].nunique(), drawn["poison_factor"].nunique()
    n = f"n = {found['n'].min()}" + f" to {found['n'].max()}" * (found["n"].nunique() > 1)
    return (
        f"Spearman's ρ of volume with the gap lies from {span}, its 95 % intervals from {bounds}, over "
        f"{len(found)} pairs of an estimator and a cutoff; each of {n} runs ({seeds} seeds × {betas} poison "
        "factors)."
    ).replace("-", "−")
