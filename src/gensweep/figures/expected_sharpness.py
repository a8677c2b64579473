"""N-KL: at the same expected sharpness, do networks that generalise worse have a larger KL?"""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullFormatter

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, flaws, numbers, vary
from gensweep.figures.random_labels import is_true
from gensweep.figures.sweeps import left_out, seeds, sound
from gensweep.figures.width import hidden

TITLE = "Expected sharpness against KL"
ALT = (
    "Three panels of expected sharpness against KL, both logarithmic, one point per noise scale: true and "
    "random labels, by training-set size; confusion sets, by size; widths. The lighter a line, the larger; "
    "dashed lines with hollow marks are random labels; a horizontal line marks 0.05 nats."
)
RUNS = ("random-labels", "confusion", "width")
RISE = 0.05  # nats
MARKERS = "osD^v<>PXph"
TITLES = {
    "random labels": ("true, and dashed random labels", "training examples"),
    "confusion": ("confusion sets", "examples with random labels added"),
    "width": ("widths", "hidden units"),
}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per panel, line and noise scale α the means over n seeds of both axes, in nats.

    Means are geometric. Only runs that reached the target loss.

    Error: The band is min–max over seeds of the expected sharpness, not a confidence interval.

    Source: Neyshabur et al. 2017 (1706.08947), figures 2 middle and right, 3 right, 4 right.
    """
    table = table.drop_duplicates(["run_id", "measure", "quantity", "split", "index", "x", "y", "settings"])
    parts = panels_of(table)
    drawn = pd.concat([curves(sound(part), name) for name, part in parts.items()], ignore_index=True)
    drawn.attrs.update(said(drawn, parts))
    figure = Figure(figsize=(DOUBLE, 3.3), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(parts), sharey=True, squeeze=False)[0], parts, strict=True):
        panel(axes, drawn[drawn["panel"] == name], TITLES[name][1])
        axes.set_title(TITLES[name][0])
    figure.axes[0].set_ylabel("expected sharpness (nats)")
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def panels_of(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The runs of each panel, with the columns ``line`` (the knob of the panel) and ``random_labels``.

    Raises:
        InputError: None of the three sweeps is there, or another knob moved in one of them.
    """
    table = table.assign(random_labels=table["random_labels"].map(is_true))
    wide = table["model.name"] == "mlp_wide"
    sizes = set(table.loc[table["confusion_size"] > 0, "train_size"])
    noisy = ~wide & table["train_size"].isin(sizes) & ~table["random_labels"]
    parts = {
        "random labels": (table[~wide & (table["confusion_size"] == 0)], ["train_size", "random_labels"]),
        "confusion": (table[noisy], ["confusion_size"]),
        "width": (table[wide], ["model.widths"]),
    }
    found = {}
    for name, (part, knobs) in parts.items():
        if part[knobs[0]].nunique() > 1:
            vary(part, *knobs)
            values = part[knobs[0]]
            found[name] = part.assign(line=values.map(hidden) if name == "width" else values)
    if not found:
        raise InputError("the table has none of the sweeps over random labels, confusion sets or widths")
    return found


def curves(table: pd.DataFrame, panel: str) -> pd.DataFrame:
    """Per line and α both means, the band of the expected sharpness, and n."""
    rise = numbers(table, "expected_sharpness", "expected_sharpness")
    kl = numbers(table, "expected_sharpness", "kl").set_index(["run_id", "x"])["value"]
    rows = rise.assign(
        kl=np.log10(kl.reindex(pd.MultiIndex.from_frame(rise[["run_id", "x"]])).to_numpy()),
        rise=np.log10(rise["value"].where((rise["status"] == "ok") & (rise["value"] > 0))),
        alpha=rise["x"],
    )
    groups = rows.groupby(["random_labels", "line", "alpha"])
    logs = groups["rise"].agg(["mean", "min", "max"]).assign(kl=groups["kl"].mean())
    return (10.0**logs).assign(n=groups["rise"].count(), panel=panel).reset_index()


def panel(axes: Axes, points: pd.DataFrame, knob: str) -> None:
    """A line per value of the knob, from dark to light; random labels dashed, with hollow marks."""
    values = sorted(points["line"].unique())
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
    for noisy, group in points.groupby("random_labels"):
        for i, (value, colour) in enumerate(zip(values, colours, strict=True)):
            here = group[group["line"] == value].sort_values("kl")
            marker = MARKERS[i % len(MARKERS)]
            axes.fill_between(here["kl"], here["min"], here["max"], color=colour, alpha=0.15, linewidth=0)
            axes.plot(
                here["kl"], here["mean"], "--" if noisy else "-", marker=marker, color=colour, markersize=3,
                mfc="white" if noisy else colour, linewidth=0.9, label=None if noisy else f"{value:g}",
            )  # fmt: skip
    axes.axhline(RISE, color="0.3", linewidth=0.7, linestyle=":")
    axes.set(xscale="log", yscale="log", xlabel="KL (nats)")
    narrow = points["kl"].max() < 100 * points["kl"].min()  # few powers of ten to label
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if narrow else (1,)))
    axes.xaxis.set_major_formatter(LogFormatterSciNotation(labelOnlyBase=False))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=3, columnspacing=1, fontsize=6, title=knob
    )


def at_rise(part: pd.DataFrame) -> pd.Series:
    """KL at an expected sharpness of 0.05 nats, geometric mean over seeds; by kind of labels and line."""
    rows = numbers(sound(part), "expected_sharpness", "kl_at_sharpness")
    logs = np.log10(rows["value"].where(rows["status"] == "ok"))
    return 10.0 ** logs.groupby([rows["random_labels"], rows["line"]]).mean().dropna()


def message(parts: dict[str, pd.DataFrame]) -> str:
    """That KL at the ends of each sweep."""
    words = []
    for name, part in parts.items():
        kl = at_rise(part)
        kinds = set(kl.index.get_level_values(0))
        if name == "random labels" and kinds == {True, False}:
            ratio = (kl[True] / kl[False]).dropna()
            words += [f"random over true labels {ends(ratio)} examples"] if len(ratio) else []
        elif False in kinds:
            words.append(f"{name} {ends(kl[False])}")
    return f"KL where the expected sharpness is {RISE:g} nats: {'; '.join(words) or 'never reached'}."


def ends(values: pd.Series) -> str:
    """The first, the lowest and the last of them."""
    places = dict.fromkeys((values.index[0], values.idxmin(), values.index[-1]))
    return ", ".join(f"{values[place]:.3g} at {place:g}" for place in places)


def said(drawn: pd.DataFrame, parts: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    table = pd.concat(parts.values())
    rows = numbers(table, "expected_sharpness", "expected_sharpness")
    protocol = (
        f"one point per noise scale α (KL falls as α grows); geometric mean, min–max band over seeds, "
        f"{seeds(drawn)} per point"
    )
    lost = "; ".join(filter(None, [left_out(table), flaws(rows)]))
    return {
        "caption": f"{message(parts)} {protocol[0].upper()}{protocol[1:]}. {lost}".strip(),
        "footnote": f"{protocol}\n{lost}".strip(),
        "filters": {
            "measure": "expected_sharpness",
            "quantity": ["expected_sharpness", "kl"],
            "target_reached": [1],
        },
        "n": {
            f"{row.panel} {'random ' if row.random_labels else ''}{row.line:g} α={row.alpha:g}": int(row.n)
            for row in drawn.itertuples()
        },
    }
