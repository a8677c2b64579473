"""Is the basin of a large batch smaller, and is that still so after as many updates?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gensweep.claims.statistic import Estimate, estimate
from gensweep.figures import batches
from gensweep.figures.base import DOUBLE, numbers, settings

RUNS = "large-batch-curves"
TITLE = "Basin volume and generalisation gap against batch size"
ALT = (
    "Three panels against the batch size on a logarithmic axis: two estimates of log10 basin volume, one "
    "colour per cutoff, and the generalisation gap. Circles and solid lines are matched in epochs, "
    "squares and dashed lines in updates; bars are 95 % intervals over seeds; hollow marks hold numbers "
    "that are not sound."
)
PANELS = {
    "log10_volume_jensen": "Jensen bound, n·E[log₁₀ r]",
    "log10_volume": "volume, log₁₀ E[rⁿ]",
    "gap_error": "generalisation gap",
}
MARKS = {"epochs": ("o", "-"), "updates": ("s", "--")}
BY = ["quantity", "cutoff", "schedule.batch_rule", "budget.match", "batch_size"]


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and mean with its 95 % interval of log10 volume and gap (fraction) at each batch size.

    Error: Bars are bootstrap intervals of the mean over seeds, stretched as Student's t for few of them.

    Source: Open in the literature: Huang et al. 2019 (1906.03291) rolled out nets of large batches and
    published nothing; Hoffer et al. 2017 (1705.08741) for the number of updates.
    """
    batches.check(table)
    rows = measured(table)
    drawn = intervals(rows)
    drawn.attrs.update(said(drawn, table, rows))
    figure = Figure(figsize=(DOUBLE, 3.7), layout="constrained")
    for axes, (quantity, label) in zip(figure.subplots(1, 3), PANELS.items(), strict=True):
        panel(axes, drawn[drawn["quantity"] == quantity])
        axes.set_title(label)
        axes.set_ylabel("test − train error" if quantity == "gap_error" else "orders of magnitude")
        if quantity == "gap_error":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
            axes.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    figure.legend(handles=legend(drawn), loc="outside upper center", ncols=3, handlelength=3)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def measured(table: pd.DataFrame) -> pd.DataFrame:
    """Volume per cutoff and gap of every run that has a basin, whatever the status."""
    volume = pd.concat([numbers(table, "basin", quantity) for quantity in PANELS if quantity != "gap_error"])
    gap = numbers(table, "error", "gap_error")
    gap = gap[gap["run_id"].isin(volume["run_id"])]
    return pd.concat([volume.assign(cutoff=volume["x"]), gap.assign(cutoff=np.nan)])


def intervals(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds with its interval per cell, their number, and how many are not ``ok``."""
    found = []
    for cell, own in rows.groupby(BY, dropna=False):
        ours = estimate("mean", own["value"].to_numpy(dtype=float))
        finite = own["value"][np.isfinite(own["value"].astype(float))]
        mean = {"mean": finite.mean(), "low": ours.low, "high": ours.high, "n": len(finite)}
        found.append(dict(zip(BY, cell, strict=True)) | mean | {"not_ok": int((own["status"] != "ok").sum())})
    return pd.DataFrame(found)


def shades(drawn: pd.DataFrame) -> dict[float, Any]:
    """Cutoff → colour; the gap, which has none, is black."""
    cutoffs = sorted(drawn["cutoff"].dropna().unique())
    return dict(
        zip(cutoffs, matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(cutoffs))), strict=True)
    )


def panel(axes: Axes, points: pd.DataFrame) -> None:
    """One quantity: a line per cutoff and match, which begins at the smallest batch in both."""
    shade = shades(points)
    rules = sorted(points["schedule.batch_rule"].unique())
    for (cutoff, rule), own in points.groupby(["cutoff", "schedule.batch_rule"], dropna=False):
        for match, (marker, dashes) in MARKS.items():
            there = own["budget.match"] == match
            start = (own["batch_size"] == own["batch_size"].min()) & (own["budget.match"] == "epochs")
            line = own[there | start] if there.any() else own[there]
            colour = shade.get(cutoff, "black")
            bars = np.nan_to_num(np.abs(line[["low", "high"]].to_numpy().T - line["mean"].to_numpy()))
            width = 1.2 - 0.6 * rules.index(rule)  # fixed, sqrt
            axes.errorbar(line["batch_size"], line["mean"], bars, color=colour, ls=dashes, marker=marker,
                          lw=width, ms=4, capsize=2, elinewidth=0.8)  # fmt: skip
            loose = line[line["not_ok"] > 0]
            axes.plot(loose["batch_size"], loose["mean"], marker, color=colour, mfc="white", ms=4, zorder=3)
    sizes = sorted(points["batch_size"].unique())
    axes.set(xscale="log", xlabel="batch size")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.minorticks_off()


def legend(drawn: pd.DataFrame) -> list[Line2D]:
    """Both matches, and the cutoffs by colour."""
    lines = [
        Line2D([], [], color="black", marker=m, ls=d, label=f"as many {n}") for n, (m, d) in MARKS.items()
    ]
    return lines + [
        Line2D([], [], color=c, lw=3, label=f"cutoff {x:g} nats") for x, c in shades(drawn).items()
    ]


def change(rows: pd.DataFrame, quantity: str, match: str) -> Estimate:
    """What the large batch has more than the small one, paired by seed: mean and 95 % interval."""
    small, large = batches.ends(rows)
    own = rows[rows["quantity"] == quantity]
    first = own[(own["batch_size"] == large) & (own["budget.match"] == match)].set_index("seed")["value"]
    second = own[(own["batch_size"] == small) & (own["budget.match"] == "epochs")].set_index("seed")["value"]
    return estimate("mean", (first - second).to_numpy(dtype=float))


def said(drawn: pd.DataFrame, table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    basin = settings(numbers(table, "basin", "log10_volume"))
    middle = sorted(drawn["cutoff"].dropna().unique())[len(drawn["cutoff"].dropna().unique()) // 2]
    one = rows[(rows["cutoff"] == middle) & (rows["schedule.batch_rule"] == "fixed")]
    gap = rows[rows["cutoff"].isna() & (rows["schedule.batch_rule"] == "fixed")]
    small, large = batches.ends(rows)
    message = "; ".join(
        f"after as many {match} {change(one, 'log10_volume_jensen', match)} orders of magnitude, "
        f"gap {change(gap, 'gap_error', match)}"
        for match in MARKS
    )
    n = numbers(table, "basin", "dimensions")["value"].max()
    height = "above the loss at the solution" if basin["relative"] else "above zero"
    what = (
        f"{batches.title(rows)}; {batches.many(drawn['n'])} seeds; K = {basin['directions']} rays, "
        f"n = {n:g} dimensions, {basin['metric']} metric; cutoffs {height}"
    )
    lost = batches.doubts(table[table["run_id"].isin(rows["run_id"])], rows)
    hollow = f"hollow, not sound: {lost}" if (drawn["not_ok"] > 0).any() else lost
    return batches.attributes(
        f"Batch {large} against {small}, cutoff {middle:g} nats, Jensen bound: {message}. {what}. "
        f"{hollow}".strip(),
        f"{what}\nbars: 95 % interval of the mean over seeds" + (f"\n{hollow}" if hollow else ""),
        {"measure": ["basin", "error"], "quantity": [*PANELS], "status": "any"},
        {" ".join(map(str, cell)): int(own["n"].iloc[0]) for cell, own in drawn.groupby(BY, dropna=False)},
    )
