"""Which measure stays as it is when the parameters change and the function does not?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, absent, counted, flaws, vary

TITLE = "Change of every measure under maps that keep the function"
ALT = (
    "A table with one row per measured quantity and one column per map of the parameters: a layer × 4, "
    "each neuron by a factor of its own, weights before batch norm × 4, a permutation of the units. "
    "A cell says invariant, within error, or by how much the quantity changed; the darker, the more."
)
MAPS = {
    "layer": "layer × 4",
    "neuron": "neuron × $a_j$",
    "batch_norm": "before\nbatch norm × 4",
    "permutation": "permutation",
}
SHOWN = {
    "error": ("loss", "accuracy", "gap_loss"),
    "margin": ("margin_p05",),
    "norms": (
        *("l2_norm", "l2_distance", "layer_frobenius", "layer_spectral", "layer_operator"),
        *("frobenius_over_spectral", "log10_l2", "log10_spectral", "log10_operator"),
    ),
    "path_norms": ("log10_l1_path", "log10_l1_path_raw", "log10_l2_path", "log10_l2_path_raw"),
    "box_sharpness": (
        *("neyshabur_sharpness", "keskar_sharpness"),
        *("keskar_sharpness_lbfgsb", "keskar_sharpness_subspace"),
    ),
    "expected_sharpness": ("expected_sharpness", "kl", "pac_bayes_sigma"),
    "adaptive_sharpness": (
        *("worst_l2", "worst_linf", "average_l2", "average_linf"),
        *("worst_l2_per_block", "worst_linf_per_block"),
        *("worst_l2_logit_normalised", "average_l2_logit_normalised"),
    ),
    "magnitude_sharpness": ("magnitude_sigma", "magnitude_alpha", "pac_bayes_init", "pac_bayes_orig"),
    "perturbation": ("mean_loss_rise", "mean_relative_loss_rise"),
    "gradient": ("gradient_norm", "gradient_variance", "fisher_rao", "fisher_rao_model"),
    "spectrum": ("eigenvalue", "lambda_min", "trace"),
    "hessian_ratio": ("ratio",),
    "llc": ("llc",),
    "slice": ("loss",),
    "surface": ("loss",),
    "interpolation": ("barrier",),
    "basin": (
        *("log10_volume", "log10_volume_jensen", "log10_volume_preconditioned"),
        *("log10_volume_trace", "log10_local_volume"),
    ),
}
# Their errors are those of the examples, which are the same before and after.
SAME_EXAMPLES = ("error", "margin", "norms", "path_norms", "gradient")
DECADES = "orders of magnitude"
TOLERANCE = 1e-4  # of the value, or orders of magnitude
SIGMAS = 2.0
COLOURS = LogNorm(1e-3, 10, clip=True)
GREY = "0.92"


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per quantity and map the median, lowest and highest change over n seeds.

    A change is a fraction of the value before, or, for a logarithm, the difference in orders of magnitude.

    Error: A cell is within error when the median over seeds of change/√(s₁² + s₂²) is at most 2.

    Source: Dinh et al. 2017 (1703.04933); no paper has the whole table.
    """
    rows = chosen(table)
    drawn = cells(changes(rows))
    drawn.attrs.update(said(drawn, rows, table))
    lines = drawn.drop_duplicates(["measure", "quantity"])
    figure = Figure(figsize=(DOUBLE, 1.3 + 0.155 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    for y, (_, line) in enumerate(drawn.groupby(["measure", "quantity"], sort=False)):
        for cell in line.itertuples():
            box(axes, list(MAPS).index(cell.reparametrise), y, cell)
    frame(axes, lines)
    scale = ScalarMappable(COLOURS, "Blues")
    label = "|change|, as a fraction of the value or in orders of magnitude"
    figure.colorbar(scale, ax=axes, location="bottom", label=label, pad=0.01, aspect=50, extend="both")
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def chosen(table: pd.DataFrame) -> pd.DataFrame:
    """One row per run and quantity.

    Raises:
        InputError: A knob moved other than the map and the seed.
    """
    vary(table, "reparametrise")
    return pd.concat([shown(table, measure, q) for measure, names in SHOWN.items() for q in names])


def shown(table: pd.DataFrame, measure: str, quantity: str) -> pd.DataFrame:
    """One row per run, possibly none: training set, first layer or eigenvalue, largest x and y."""
    rows = table[(table["measure"] == measure) & (table["quantity"] == quantity)]
    rows = rows[rows["split"].isin(["train", ""]) & rows["index"].isin([-1, 0])]
    for axis in ("x", "y"):
        rows = rows[rows[axis].isna() | (rows[axis] == rows[axis].max())]
    return rows.sort_values("index").drop_duplicates("run_id")


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Change and error of every quantity, map and seed, against the run of that seed without a map.

    Raises:
        InputError: There is no run to compare with, or none to compare.
    """
    mapped = rows["reparametrise"] != "none"
    if mapped.all() or not mapped.any():
        raise InputError("this figure compares reparametrise=none with the maps, and the table has one only")
    key = ["measure", "quantity", "seed"]
    before = rows.loc[~mapped, [*key, "value", "stderr", "status"]]
    pairs = rows[mapped].merge(before, how="left", on=key, suffixes=("", "_before"))
    scale = pairs["value_before"].abs().where(pairs["unit"] != DECADES, 1.0)
    difference = pairs["value"] - pairs["value_before"]
    error = np.hypot(pairs["stderr"], pairs["stderr_before"]).where(~pairs["measure"].isin(SAME_EXAMPLES), 0)
    sound = (pairs["status"] == "ok") & (pairs["status_before"] == "ok")
    change = (difference / scale).where(difference != 0, difference)
    return pairs.assign(change=change, error=error / scale, sound=sound)


def cells(pairs: pd.DataFrame) -> pd.DataFrame:
    """What each cell shows: the changes over the seeds, and the word for them."""
    place = ["measure", "quantity", "unit", "x", "reparametrise"]
    found = []
    for where, cell in pairs.groupby(place, sort=False, dropna=False):
        change, error = cell["change"].dropna(), cell["error"].median()
        spread = {"n": len(change), "median": change.median(), "min": change.min(), "max": change.max()}
        flags = {"error": error, "not_ok": int((~cell["sound"]).sum()), "verdict": verdict(cell)}
        found.append(dict(zip(place, where, strict=True)) | spread | flags)
    return pd.DataFrame(found)


def verdict(cell: pd.DataFrame) -> str:
    """``invariant`` in every run, ``within error``, ``changed``, or ``no number``."""
    cell = cell[cell["change"].notna()]
    if cell.empty:
        return "no number"
    if cell["change"].abs().max() <= TOLERANCE:
        return "invariant"
    drawn = cell[cell["error"] > 0]
    near = len(drawn) == len(cell) and abs((drawn["change"] / drawn["error"]).median()) <= SIGMAS
    return "within error" if near else "changed"


def words(cell: Any) -> str:
    """The text of a cell: its verdict, or the median change in the unit of its row."""
    if cell.verdict != "changed":
        return str(cell.verdict)
    change = cell.median if cell.unit == DECADES else 100 * cell.median
    return (f"{change:+.3g}" if abs(change) < 999.5 else f"{change:+,.0f}").replace("-", "−")


def unit(cell: Any) -> str:
    """The unit of the changes in a row."""
    return DECADES if cell.unit == DECADES else "%"


def box(axes: Axes, x: int, y: int, cell: Any) -> None:
    """One cell: white when invariant, grey within error, else the darker the more it changed."""
    colour: Any = {"invariant": "white", "changed": None}.get(cell.verdict, GREY)
    if colour is None:
        colour = matplotlib.colormaps["Blues"](COLOURS(abs(cell.median)))
    dark = cell.verdict == "changed" and COLOURS(abs(cell.median)) > 0.6
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="0.8", linewidth=0.4))
    text = words(cell) + "*" * (cell.not_ok > 0)
    axes.text(
        x + 0.5, y + 0.52, text, ha="center", va="center", fontsize=7, color="white" if dark else "black"
    )


def frame(axes: Axes, lines: pd.DataFrame) -> None:
    """Names of rows and columns, and a line between measures."""
    names = [f"{line.measure}.{line.quantity} [{unit(line)}]" for line in lines.itertuples()]
    axes.set(xlim=(0, len(MAPS)), ylim=(len(lines), 0))
    axes.set_yticks(np.arange(len(lines)) + 0.5, names)
    axes.set_xticks(np.arange(len(MAPS)) + 0.5, [*MAPS.values()])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    starts = np.flatnonzero(lines["measure"].ne(lines["measure"].shift()))
    axes.hlines(starts[1:], 0, len(MAPS), color="black", linewidth=0.8)


def said(drawn: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    least, most = drawn["n"].min(), drawn["n"].max()
    seeds = f"n = {least}" if least == most else f"n = {least} to {most}"
    gone = counted(absent(table, rows, "reparametrise"), "diverged or missing")
    lost = "; ".join(filter(None, [f"*: {flaws(rows)}" if flaws(rows) else "", gone]))
    rule = "invariant: below 0.01 % or 10⁻⁴ in every run; within error: at most 2 standard errors"
    noise = "a permutation makes random directions meet other units: what it changes is the noise of one draw"
    protocol = f"median over seeds, {seeds} per cell; {rule}"
    return {
        "caption": f"{steady(drawn)}. {protocol[0].upper()}{protocol[1:]}; {noise}. {lost}".strip(),
        "footnote": f"{protocol}\n{noise}" + (f"\n{lost}" if lost else ""),
        "filters": {"measure": [*SHOWN], "split": ["train", ""], "index": [-1, 0], "x": "largest"},
        "n": {f"{c.measure}.{c.quantity} {c.reparametrise}": int(c.n) for c in drawn.itertuples()},
    }


def steady(drawn: pd.DataFrame) -> str:
    """How many quantities each map leaves as they are, those within their error apart."""
    total = len(drawn.drop_duplicates(["measure", "quantity"]))
    found = pd.crosstab(drawn["reparametrise"], drawn["verdict"]).reindex([*MAPS], fill_value=0)
    counts = [
        f"{how} {row.get('invariant', 0)} (and {row.get('within error', 0)} within error)"
        for how, row in found.iterrows()
    ]
    return f"Of {total} quantities, invariant under {', '.join(counts)}"


def markdown(drawn: pd.DataFrame) -> str:
    """The same table for a page of text."""
    head = ["measure", "quantity", "unit of the change", *(f"`{how}`" for how in MAPS)]
    lines = [head, ["---"] * len(head)]
    for (measure, quantity), line in drawn.groupby(["measure", "quantity"], sort=False):
        found = {cell.reparametrise: words(cell) + "*" * (cell.not_ok > 0) for cell in line.itertuples()}
        place = [f"`{measure}`", f"`{quantity}`", unit(next(line.itertuples()))]
        lines.append([*place, *(found.get(how, "–") for how in MAPS)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
