"""S1, S2: do the norm measures tell true from random labels, and does sharpness?"""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gensweep.figures.base import DOUBLE, numbers, vary
from gensweep.figures.sweeps import (
    KINDS,
    Kind,
    left_out,
    line,
    lines,
    loose,
    measured,
    seeds,
    sound,
)

TITLE = "Measures of true and of random labels against training-set size"
ALT = (
    "Six panels against the size of the training set: four norm measures as log10, max sharpness in nats, "
    "and train and test error; in each a solid line with circles for true labels and a dashed one with "
    "squares for random labels, each the mean over seeds inside a band from the lowest to the highest seed."
)
LABELS = {False: ("true labels", "C0", "o", "-"), True: ("random labels", "C2", "s", "--")}
NORMS = ("l2", "spectral", "l1-path", "l2-path")
NAMES = {"l2": "ℓ₂ norm", "spectral": "spectral norm", "l1-path": "ℓ₁-path norm", "l2-path": "ℓ₂-path norm"}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and per size, kind of labels and measure the mean, min and max over n seeds.

    Norms are log10, sharpness is nats, errors are fractions; only runs that reached the target loss, but for
    the errors, which are of all.

    Error: The band is min–max over seeds, not a confidence interval.

    Source: Neyshabur et al. 2017 (1706.08947), figures 1 and 2 left.
    """
    vary(table, "train_size", "random_labels")
    table = table.assign(random_labels=table["random_labels"].map(is_true))
    rows = of_measures(sound(table))
    drawn = lines(pd.concat([rows, errors(table)]), ["kind", "random_labels", "train_size"])
    drawn.attrs.update(said(drawn, rows, table))
    figure = Figure(figsize=(DOUBLE, 4.1), layout="constrained")
    panels = dict(zip([*NORMS, "sharpness", "error"], figure.subplots(2, 3, sharex=True).flat, strict=True))
    for name, axes in panels.items():
        panel(axes, drawn, name)
    for axes in (panels["l2-path"], panels["sharpness"], panels["error"]):
        axes.set_xlabel("training examples")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    handles, words = panels["l2"].get_legend_handles_labels()
    figure.legend(handles, words, loc="outside upper center", ncols=2)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def is_true(value: Any) -> bool:
    """Of a cell that may be text, where a file has none of another kind.

    >>> is_true("False"), is_true(True)
    (False, True)
    """
    return str(value).lower() in ("true", "1", "1.0")


def of_measures(table: pd.DataFrame) -> pd.DataFrame:
    """The measures, sharpness in nats again."""
    rows = measured(table)
    nats = rows["value"].where(rows["kind"] != "sharpness", 10.0 ** rows["value"])
    return rows.assign(value=nats)


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """Train and test error of every run."""
    found = [
        numbers(table, "error", "error", split=split).assign(kind=f"{split} error")
        for split in ("train", "test")
    ]
    return pd.concat(found)


def panel(axes: Axes, drawn: pd.DataFrame, name: str) -> None:
    """One measure, or both errors: train error without a band of colour, test error above it."""
    for noisy, (label, colour, marker, dashes) in LABELS.items():
        here = drawn[drawn["random_labels"] == noisy]
        for kind in ("train error", "test error") if name == "error" else (name,):
            points = here[here["kind"] == kind].sort_values("train_size")
            style = Kind("", "", label, colour, marker, ":" if kind == "train error" else dashes)
            line(axes, points["train_size"], points, style)
    if name == "error":
        axes.set_title("error: test, and train (dotted)")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylim(-0.04, 1.0)
    elif name == "sharpness":
        axes.set_title("max sharpness (nats)")
    else:
        axes.set_title(f"{NAMES[name]}, log₁₀")


def ratios(drawn: pd.DataFrame, kind: str) -> pd.Series:
    """Random minus true labels by size: orders of magnitude, or nats."""
    means = drawn[drawn["kind"] == kind].pivot(index="train_size", columns="random_labels", values="mean")
    return (means[True] - means[False]).dropna() if {True, False} <= set(means) else pd.Series(dtype=float)


def message(drawn: pd.DataFrame) -> str:
    """How far random stands above true labels, at the smallest and at the largest size."""
    found = {kind: ratios(drawn, kind) for kind in (*NORMS, "sharpness")}
    if any(ratio.empty for ratio in found.values()):
        return "No size has runs of both kinds of labels that reached the target loss."
    small, large = found["l2"].index.min(), found["l2"].index.max()
    words = [f"{NAMES[k]} {found[k].iloc[0]:+.1f} and {found[k].iloc[-1]:+.1f}" for k in NORMS]
    nats = [f"{found['sharpness'].iloc[i]:+.2g}" for i in (0, -1)]
    return (
        (
            f"Random above true labels, in orders of magnitude at {small:g} and at {large:g} examples: "
            f"{', '.join(words)}; max sharpness {nats[0]} and {nats[1]} nats."
        )
        .replace("-", "−")
        .replace("ℓ₁−", "ℓ₁-")
        .replace("ℓ₂−", "ℓ₂-")
    )


def said(drawn: pd.DataFrame, rows: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    half_width = rows.loc[rows["kind"] == "sharpness", "x"].max()
    protocol = (
        f"mean, min–max band over seeds, {seeds(drawn[drawn['kind'].isin(KINDS)])} per point; norms over γ², "
        f"sharpness in the box α = {half_width:g}"
    )
    flaws = "; ".join(filter(None, [left_out(table), loose(rows)]))
    chance = "Test labels are true, so that random labels have a test error of chance by construction."
    return {
        "caption": f"{message(drawn)} {chance} {protocol}. {flaws}".strip(),
        "footnote": f"{protocol}\n{flaws}".strip(),
        "filters": {"quantity": [k.quantity for k in KINDS.values()], "target_reached": [1]},
        "n": {
            f"{row.kind} {'random' if row.random_labels else 'true'} {row.train_size:g}": int(row.n)
            for row in drawn.itertuples()
        },
    }
