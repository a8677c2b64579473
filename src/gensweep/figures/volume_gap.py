"""H8, T13 right: do networks that generalise worse sit in smaller basins?"""

from __future__ import annotations

from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import rankdata

from gensweep.figures.base import DOUBLE, absent, counted, flaws, numbers, settings, vary

TITLE = "Basin volume against generalisation gap"
ALT = (
    "Two scatter plots of log10 basin volume against the generalisation gap, one dot per run and cutoff, "
    "coloured by cutoff, with error bars; hollow dots are not sound, mostly lower bounds. "
    "Left: Monte-Carlo volume, right: its Jensen bound."
)
PANELS = {"log10_volume": "volume, log₁₀ E[rⁿ]", "log10_volume_jensen": "Jensen bound, n·E[log₁₀ r]"}
RESAMPLES = 2000
KEPT = [
    "run_id",
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


class Correlation(NamedTuple):
    """Spearman's ρ with the bounds of its 95 % bootstrap interval over n pairs."""

    rho: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        """As in a legend."""
        return f"{self.rho:+.2f} [{self.low:+.2f}, {self.high:+.2f}]".replace("-", "−")


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and one row per run, cutoff and estimator: gap (fraction) and log10 volume.

    Error: Bars are one standard error; the interval of ρ resamples runs.

    Source: Huang et al. 2019 (1906.03291), volume against generalisation gap, for several cutoffs.
    """
    vary(table, "poison_factor")
    drawn = pairs(table)
    drawn.attrs.update(said(drawn, table))
    figure = Figure(figsize=(DOUBLE, 3.7), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (quantity, label) in zip(panels, PANELS.items(), strict=True):
        panel(axes, drawn[drawn["quantity"] == quantity])
        axes.set_title(label)
    panels[0].set_ylabel("log₁₀ volume (orders of magnitude)")
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Volume and gap of every run, per cutoff and estimator, whatever the status of either."""
    volume = pd.concat([numbers(table, "basin", quantity) for quantity in PANELS])
    gap = numbers(table, "error", "gap_error").set_index("run_id")
    drawn = volume.assign(
        cutoff=volume["x"],
        gap=volume["run_id"].map(gap["value"]),
        gap_stderr=volume["run_id"].map(gap["stderr"]),
    )
    return drawn[KEPT].sort_values(["quantity", "cutoff", "poison_factor", "seed"], ignore_index=True)


def correlation(x: np.ndarray, y: np.ndarray) -> Correlation:
    """Spearman's ρ of the pairs that are finite, and its percentile bootstrap interval.

    >>> correlation(np.arange(9), np.arange(9) ** 3)
    Correlation(rho=1.0, low=1.0, high=1.0, n=9)
    """
    finite = np.isfinite(x) & np.isfinite(y)
    x, y, n = x[finite], y[finite], int(finite.sum())
    order = np.lexsort((y, x))  # the pairs count, not the order in which the table has them
    x, y = x[order], y[order]
    rho = _rank_correlation(x[None], y[None])[0]
    if n < 3 or np.isnan(rho):
        return Correlation(np.nan, np.nan, np.nan, n)
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    low, high = np.nanquantile(_rank_correlation(x[drawn], y[drawn]), [0.025, 0.975])
    return Correlation(round(float(rho), 12), round(float(low), 12), round(float(high), 12), n)


def _rank_correlation(x_BN: np.ndarray, y_BN: np.ndarray) -> np.ndarray:
    """ρ of each row; NaN where one side is constant."""
    a, b = (rankdata(v, axis=1) - (v.shape[1] + 1) / 2 for v in (x_BN, y_BN))
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), norm, out=np.full(len(a), np.nan), where=norm > 0)


def panel(axes: Axes, points: pd.DataFrame) -> None:
    """One estimator: a colour per cutoff, hollow where the number is not ``ok``."""
    cutoffs = points["cutoff"].unique()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(cutoffs)))
    for cutoff, colour in zip(cutoffs, colours, strict=True):
        here = points[points["cutoff"] == cutoff]
        rho = correlation(here["gap"].to_numpy(), here["value"].to_numpy())
        axes.plot([], [], "o", color=colour, label=f"{cutoff:g} nats: ρ = {rho}, n = {rho.n}")
        axes.errorbar(
            here["gap"], here["value"], here["stderr"], fmt="none", ecolor=colour, elinewidth=0.6, alpha=0.6
        )
        ok = here["status"] == "ok"
        axes.plot(here["gap"][ok], here["value"][ok], "o", color=colour)
        axes.plot(here["gap"][~ok], here["value"][~ok], "o", color=colour, mfc="white", mew=0.9)
    axes.set_xlabel("generalisation gap, test − train error")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    title = "cutoff: Spearman ρ [95 % interval], n runs"
    axes.legend(title=title, title_fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.17))


def said(drawn: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    basin = settings(numbers(table, "basin", "log10_volume"))
    n = numbers(table, "basin", "dimensions")["value"].max()
    height = "above the loss at the solution" if basin["relative"] else "above zero"
    rays = f"K = {basin['directions']} rays, n = {n:g} dimensions, {basin['metric']} metric"
    protocol = f"{rays}; cutoffs in nats {height}; bars: one standard error over rays"
    lost = "; ".join(filter(None, [hollow(drawn), missing(table, drawn)]))
    return {
        "caption": f"{strongest(drawn)} {protocol}. {lost}".strip(),
        "footnote": f"{protocol}\n{lost}".strip(),
        "filters": {"measure": "basin", "quantity": [*PANELS], "gap": "gap_error", "status": "any"},
        "n": {
            f"{q} {c:g}": int(g["value"].notna().sum()) for (q, c), g in drawn.groupby(["quantity", "cutoff"])
        },
    }


def hollow(drawn: pd.DataFrame) -> str:
    """What the hollow dots are, and which numbers do not exist and so have no dot."""
    found = flaws(drawn)
    return f"hollow, not sound: {found}" if found else ""


def missing(table: pd.DataFrame, drawn: pd.DataFrame) -> str:
    """How many runs have no volume, and how many stopped above the loss they were to reach."""
    stopped = table[(table["quantity"] == "target_reached") & (table["value"] == 0)]
    gone = counted(absent(table, drawn), "diverged or missing")
    return "; ".join(filter(None, [gone, counted(stopped, "did not reach the target loss")]))


def strongest(drawn: pd.DataFrame) -> str:
    """The message: the range of the correlations over cutoffs and estimators."""
    found = [
        correlation(points["gap"].to_numpy(), points["value"].to_numpy()).rho
        for _, points in drawn.groupby(["quantity", "cutoff"])
    ]
    if np.isnan(found).all():
        return "Too few runs for a rank correlation of volume with the gap."
    span = f"{np.nanmin(found):+.2f} to {np.nanmax(found):+.2f}".replace("-", "−")
    return f"Rank correlation of volume with the gap: {span} over cutoffs and estimators."
