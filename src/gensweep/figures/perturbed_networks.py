"""O1: does the loss of networks that generalise worse rise more when their weights are altered?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gensweep.claims.statistic import Estimate
from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, flaws, numbers, runs, settings, vary
from gensweep.figures.partial import correlation

TITLE = "Loss rise under perturbation against generalisation gap"
ALT = (
    "Two scatter plots of the gap of the loss against the mean loss rise under relative noise, one dot per "
    "network: left networks that differ in their seed alone, right training sets of several sizes, a "
    "mark for each. Below, rank correlations with 95 % intervals for both kinds of noise and several scales: "
    "of the left networks, of the same with train loss and weight norm held fixed, and of the right ones."
)
NOISE = {"relative": "mean_relative_loss_rise", "absolute": "mean_loss_rise"}
MARKERS = "osD^v<>P"
WIDE = 20  # largest over smallest value from which an axis is logarithmic
SERIES = {
    "alike": ("C0", "o", "trained alike"),
    "alike, partial": ("C2", "s", "trained alike, train loss and weight norm held fixed"),
    "sizes": ("C3", "^", "training sets of several sizes"),
    "sizes, partial": ("C1", "v", "several sizes, train loss and weight norm held fixed"),
}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and one row per network, noise and scale: mean rise, its error, and gap of the loss, nats.

    Error: Bars are one standard error over the alterations. Intervals resample networks.

    Source: Osmulski's 100 MNIST networks; the second family and the partial correlation are ours.
    """
    vary(table, "train_size")
    drawn = pairs(table)
    size = most_common(drawn)
    found = {noise: correlations(drawn[drawn["noise"] == noise], size) for noise in NOISE}
    drawn.attrs.update(said(drawn, table, size, found))
    figure = Figure(figsize=(DOUBLE, 5.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1.2, 1))
    shown = drawn[(drawn["noise"] == "relative") & (drawn["scale"] == middle(drawn))]
    left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    scatter(left, shown[shown["train_size"] == size])
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.set_title(words(shown[shown["train_size"] == size]), fontsize=7)
    left.set_ylabel("gap of the loss, test − train (nats)")
    family = several(shown)
    scatter(right, family)
    right.set_title(words(family), fontsize=7)
    for axis, values in (("x", family["rise"]), ("y", family["gap"])):
        if values.min() > 0 and values.max() > WIDE * values.min():
            right.set(**{f"{axis}scale": "log"})
    right.legend(title="training examples", title_fontsize=7, loc="best", ncols=2)
    for i, (noise, estimates) in enumerate(found.items()):
        forest(figure.add_subplot(grid[1, i]), noise, estimates)
    handles, labels = figure.axes[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    figure.suptitle(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Rise and gap of every network, with what a partial correlation holds fixed."""
    at = {
        "gap": ("error", "gap_loss", {}),
        "train_loss": ("error", "loss", {"split": "train"}),
        "weight_norm": ("norms", "l2_norm", {}),
    }
    columns = {
        name: numbers(table, measure, quantity, **place).set_index("run_id")["value"]
        for name, (measure, quantity, place) in at.items()
    }
    found = []
    for noise, quantity in NOISE.items():
        rows = numbers(table, "perturbation", quantity)
        rows = rows.assign(noise=noise, scale=rows["x"], rise=rows["value"].where(rows["status"] == "ok"))
        found.append(rows.assign(**{name: rows["run_id"].map(values) for name, values in columns.items()}))
    kept = ["run_id", "seed", "train_size", "noise", "scale", "rise", "stderr", "status", *at]
    return pd.concat(found)[kept].sort_values(["noise", "scale", "train_size", "seed"], ignore_index=True)


def most_common(drawn: pd.DataFrame) -> float:
    """The training-set size of most networks: those that differ in their seed alone."""
    return float(runs(drawn)["train_size"].value_counts().idxmax())


def several(points: pd.DataFrame) -> pd.DataFrame:
    """The networks of the seeds that every size has.

    Raises:
        InputError: There is one size.
    """
    if points["train_size"].nunique() < 2:
        raise InputError("the table holds one train_size; this figure compares networks over several too")
    has = points.groupby("seed")["train_size"].nunique()
    return points[points["seed"].isin(has.index[has == points["train_size"].nunique()])]


def middle(drawn: pd.DataFrame) -> float:
    """The scale in the middle: a choice that no result can sway."""
    scales = sorted(drawn["scale"].unique())
    return scales[len(scales) // 2]


def correlations(points: pd.DataFrame, size: float) -> dict[tuple[float, str], Estimate]:
    """Spearman's ρ of rise and gap by scale and by series of `SERIES`."""
    found = {}
    for scale, here in points.groupby("scale"):
        for name, part in (("alike", here[here["train_size"] == size]), ("sizes", several(here))):
            x, y = part["rise"].to_numpy(), part["gap"].to_numpy()
            fixed = [part["train_loss"].to_numpy(), part["weight_norm"].to_numpy()]
            found[scale, name] = correlation(x, y)
            found[scale, f"{name}, partial"] = correlation(x, y, fixed)
    return found


def scatter(axes: Axes, points: pd.DataFrame) -> None:
    """A dot per network, a colour and a mark per size, with the error of the rise."""
    sizes = sorted(points["train_size"].unique())
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(sizes)))
    for i, (size, colour) in enumerate(zip(sizes, colours, strict=True)):
        here = points[points["train_size"] == size]
        colour = "C0" if len(sizes) == 1 else colour
        axes.errorbar(
            here["rise"], here["gap"], xerr=here["stderr"], fmt=MARKERS[i % len(MARKERS)], color=colour,
            markersize=3, elinewidth=0.5, ecolor="0.7", label=f"{size:g}",
        )  # fmt: skip
    axes.set_xlabel(f"mean loss rise, noise of {points['scale'].iloc[0]:g}·|θᵢ| (nats)")


def words(points: pd.DataFrame) -> str:
    """Both correlations of a scatter plot, with their intervals."""
    x, y = points["rise"].to_numpy(), points["gap"].to_numpy()
    both = {"Pearson r": correlation(x, y, ranks=False), "Spearman ρ": correlation(x, y)}
    lines = [f"{name} {spoken(e)}" for name, e in both.items()]
    return f"{lines[0]}\n{lines[1]}, n = {both['Spearman ρ'].n}"


def spoken(estimate: Estimate) -> str:
    """As in a caption, after the name of what it is.

    >>> spoken(Estimate(-0.5, -0.75, 0.25, 9)), spoken(Estimate(np.nan, np.nan, np.nan, 1))
    ('= −0.50 [−0.75, +0.25]', 'undefined')
    """
    if np.isnan(estimate.value):
        return "undefined"
    return f"= {estimate.value:+.2f} [{estimate.low:+.2f}, {estimate.high:+.2f}]".replace("-", "−")


def forest(axes: Axes, noise: str, estimates: dict[tuple[float, str], Estimate]) -> None:
    """The correlations of one kind of noise, a row per scale."""
    scales = sorted({scale for scale, _ in estimates})
    for i, (name, (colour, marker, label)) in enumerate(SERIES.items()):
        found = [estimates[scale, name] for scale in scales]
        value, low, high = (np.array([e[k] for e in found]) for k in range(3))
        y = np.arange(len(scales)) + 0.16 * (i - 1.5)
        axes.errorbar(
            value, y, xerr=[value - low, high - value], fmt=marker, color=colour, markersize=4,
            elinewidth=1, label=label,
        )  # fmt: skip
    axes.axvline(0, color="0.3", linewidth=0.7)
    axes.set_yticks(range(len(scales)), [f"{s:g}{'·|θᵢ|' * (noise == 'relative')}" for s in scales])
    axes.set(xlim=(-1.05, 1.05), ylim=(len(scales) - 0.5, -0.5), xlabel="Spearman's ρ of rise and gap")
    axes.set_title(f"{noise} noise, by its standard deviation", fontsize=7)


def said(
    drawn: pd.DataFrame, table: pd.DataFrame, size: float, found: dict[str, dict[tuple[float, str], Estimate]]
) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    draws = settings(numbers(table, "perturbation", NOISE["relative"]))["draws"]
    first = runs(table)
    accuracy = numbers(table, "error", "accuracy", split="test").set_index("run_id")["value"]
    alike = first.index[first["train_size"] == size]
    protocol = (
        f"{len(alike)} network{'s' * (len(alike) != 1)} trained alike on {size:,.0f} examples (mean test "
        f"accuracy {accuracy[alike].mean():.1%}); rise: mean of {draws} alterations, on the whole "
        "training set"
    )
    at = middle(drawn), "alike"
    sizes = at[0], "sizes"
    relative = found["relative"]
    message = (
        f"Trained alike, rise under noise of {at[0]:g}·|θᵢ| and gap: ρ {spoken(relative[at])} "
        f"(n = {relative[at].n}), with train loss and weight norm held fixed ρ "
        f"{spoken(relative[at[0], 'alike, partial'])}; over training sets of several sizes ρ "
        f"{spoken(relative[sizes])} (n = {relative[sizes].n})."
    )
    lost = "; ".join(filter(None, [unended(table), flaws(drawn)]))
    return {
        "caption": f"{message} {protocol}. {lost}".strip(),
        "footnote": f"{protocol}\n{lost}".strip(),
        "filters": {"measure": "perturbation", "quantity": [*NOISE.values()], "status": ["ok"]},
        "n": {
            f"{noise} {scale:g} {series}": estimate.n
            for noise, estimates in found.items()
            for (scale, series), estimate in estimates.items()
        },
    }


def unended(table: pd.DataFrame) -> str:
    """How many runs have no rise at all, in words."""
    measured: Sequence[str] = table.loc[table["measure"] == "perturbation", "run_id"].unique()
    gone = len(runs(table)) - len(measured)
    return f"{gone} runs diverged or were not measured" if gone else ""
