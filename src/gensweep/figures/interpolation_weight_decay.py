"""T6: along the line between a small-batch and a large-batch solution, which end looks the sharper one?"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter, PercentFormatter

from gensweep.errors import InputError
from gensweep.figures.base import DOUBLE, counted, flaws, numbers, vary
from gensweep.figures.contours import KEPT, curve, images

TITLE = "The line between small-batch and large-batch solutions, by weight decay"
ALT = (
    "One panel per weight decay. Against the place on the line from the small-batch solution at 0 to the "
    "large-batch one at 1: loss on the left axis and accuracy on the right, training solid, test dashed, "
    "mean over seeds with bands from lowest to highest."
)
HIGHEST = 5.0  # nats, of the loss axis, as in Li et al.
SPLITS = {"train": "-", "test": "--"}
LOOKS = {"loss": ("C0", "o"), "accuracy": ("C2", "^")}
BATCH, DECAY = "batch_size", "optim.weight_decay"


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The figure, and loss (nats) and accuracy (fraction) along the line of every seed.

    Error: Exact for these solutions; mean over seeds, band from lowest to highest.

    Source: Li et al. 2018 (1712.09913), figure 2.

    Raises:
        InputError: There are not two batch sizes.
    """
    vary(table, BATCH, DECAY)
    drawn = lines(table)
    decays, modes = sorted(drawn[DECAY].unique()), sorted(drawn["batch_norm"].unique())
    figure = Figure(figsize=(DOUBLE, 1.2 + 2.0 * len(modes)), layout="constrained")
    panels = figure.subplots(len(modes), len(decays), sharex=True, sharey=True, squeeze=False)
    for row, mode in zip(panels, modes, strict=True):
        for axes, decay in zip(row, decays, strict=True):
            panel(axes, drawn[(drawn[DECAY] == decay) & (drawn["batch_norm"] == mode)], axes is row[-1])
        row[0].set_ylabel(f"batch norm {mode}\nloss (nats)")
    for axes, decay in zip(panels[0], decays, strict=True):
        axes.set_title(title(table, decay), fontsize=7)
    for axes in panels[-1]:
        axes.set(
            xlabel="α: 0 small batch, 1 large batch", xticks=np.linspace(-0.5, 1.5, 5), ylim=(0, HIGHEST)
        )
    figure.legend(handles=handles(), loc="outside upper center", ncols=4, handlelength=3.5)
    drawn.attrs.update(said(drawn, table))
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def ends(table: pd.DataFrame) -> tuple[float, float]:
    """The small and the large batch size.

    Raises:
        InputError: There are not two.
    """
    sizes = sorted(table[BATCH].unique())
    if len(sizes) != 2:
        raise InputError(f"this figure compares two batch sizes; the table has {', '.join(map(str, sizes))}")
    return sizes[0], sizes[1]


def lines(table: pd.DataFrame) -> pd.DataFrame:
    """Loss and accuracy, sound or not, along the line of every seed, once for each treatment of batch norm.

    A line that was walked from the large-batch end is turned round.
    """
    small, _ = ends(table)
    rows = pd.concat([numbers(table, "interpolation", q) for q in LOOKS])
    rows = rows[rows["x"].notna()]
    rows = rows.assign(
        batch_norm=rows["settings"].map(lambda text: json.loads(text)["batch_norm"]),
        alpha=rows["x"].where(rows[BATCH] == small, 1 - rows["x"]).astype(float),
    ).sort_values([BATCH, "run_id"], kind="stable")
    rows = rows.drop_duplicates(["batch_norm", DECAY, "seed", "quantity", "split", "alpha"])
    return rows[[*KEPT, DECAY, BATCH, "batch_norm", "alpha", "train_size"]].reset_index(drop=True)


def panel(axes: Axes, rows: pd.DataFrame, last: bool) -> None:
    """Loss on the left axis and accuracy on the right along the line, training solid and test dashed."""
    right = axes.twinx()
    for on, (quantity, (colour, marker)) in zip((axes, right), LOOKS.items(), strict=True):
        for split, style in SPLITS.items():
            here = rows[
                (rows["quantity"] == quantity) & (rows["split"] == split) & np.isfinite(rows["value"])
            ]
            curve(on, here.assign(x=here["alpha"]), style + marker, color=colour, markersize=2.5, lw=1.1)
    right.set(ylim=(0, 1), yticks=np.linspace(0, 1, 6))
    right.grid(visible=False)
    right.yaxis.set_major_formatter(PercentFormatter(1.0) if last else NullFormatter())
    if last:
        right.set_ylabel("accuracy")
        right.spines["right"].set_visible(True)


def handles() -> list[Line2D]:
    """What line styles and markers stand for."""
    return [
        Line2D([], [], color=colour, marker=marker, ls=style, ms=3, label=f"{quantity}, {split}")
        for quantity, (colour, marker) in LOOKS.items()
        for split, style in SPLITS.items()
    ]


def title(table: pd.DataFrame, decay: float) -> str:
    """Weight decay, and mean test error and norm of the weights of both ends."""
    said = [f"weight decay {decay:g}"]
    for batch, name in zip(ends(table), ("small", "large"), strict=True):
        here = table[(table[DECAY] == decay) & (table[BATCH] == batch)]
        error = here[(here["quantity"] == "error") & (here["split"] == "test")]["value"]
        norm = here[here["quantity"] == "l2_norm"]["value"]
        length = f", ‖θ‖ {norm.mean():.3g}" if len(norm) else ""
        said.append(
            f"{name} ({batch:g}): test error {100 * error.mean():.1f} ± {100 * error.std():.1f} %{length}"
        )
    return "\n".join(said)


def beyond(drawn: pd.DataFrame) -> pd.Series:
    """log10 of the training loss at the highest α over that at the lowest.

    Above 0 it is higher past the large batches.

    By weight decay, treatment of batch norm and seed.
    """
    loss = drawn[(drawn["quantity"] == "loss") & (drawn["split"] == "train")]
    wide = loss.pivot(index=[DECAY, "batch_norm", "seed"], columns="alpha", values="value")
    return np.log10(wide[wide.columns.max()] / wide[wide.columns.min()])


def said(drawn: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    n = drawn.groupby([DECAY, "batch_norm"])["seed"].nunique()
    message = "; ".join(
        f"{values.mean():+.1f} at weight decay {decay:g}, {mode}".replace("-", "−")
        for (decay, mode), values in beyond(drawn).groupby(level=[0, 1])
    )
    how = f"{images(drawn)} without crops, n = {' or '.join(map(str, sorted(set(n))))} seeds"
    wanted = table.groupby(DECAY)["seed"].nunique().sum() * drawn["batch_norm"].nunique()
    lost = "; ".join(filter(None, [flaws(drawn), counted(range(int(wanted - n.sum())), "without a line")]))
    return {
        "caption": "log₁₀ of the training loss at the end of the line past large batches over that past "
        f"small ones, mean over seeds: {message}. {how}. {lost}".strip(),
        "footnote": f"mean and range over seeds, loss cut at {HIGHEST:g} nats; nothing is normalised\n{how}"
        + (f"; {lost}" if lost else ""),
        "filters": {"measure": "interpolation", "quantity": [*LOOKS], "status": "any"},
        "n": {f"weight decay {decay:g}, {mode}": int(count) for (decay, mode), count in n.items()},
    }
