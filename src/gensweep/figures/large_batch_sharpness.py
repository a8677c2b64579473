"""Keskar's tables 2 to 4: accuracies and sharpness of small and large batches, beside theirs."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gensweep.figures import batches
from gensweep.figures.base import DOUBLE, numbers, settings

RUNS = "large-batch-curves"
TITLE = "Accuracy and sharpness of small and large batches"
ALT = (
    "A table: per network a row for the small batch, one for the large batch after as many epochs and one "
    "after as many updates; columns are train and test accuracy and the sharpness in the whole space and "
    "in a random subspace at two widths of the box, mean ± standard deviation over seeds, Keskar's "
    "numbers in grey below."
)


class Column(NamedTuple):
    """What stands in a column, and where Keskar has it."""

    key: str
    group: str
    head: str
    measure: str
    place: dict[str, Any]
    scale: float = 1.0


def _box(quantity: str, epsilon: float) -> dict[str, Any]:
    return {"quantity": quantity, "x": epsilon}


WHOLE, SOLVER, WITHIN = (f"keskar_sharpness{s}" for s in ("", "_lbfgsb", "_subspace"))
COLUMNS = (
    Column("train", "accuracy, %", "train", "error", {"quantity": "accuracy", "split": "train"}, 100),
    Column("test", "accuracy, %", "test", "error", {"quantity": "accuracy", "split": "test"}, 100),
    Column("whole 1e-3", "whole space, %", "ε = 10⁻³", "box_sharpness", _box(WHOLE, 1e-3)),
    Column("whole 5e-4", "whole space, %", "ε = 5·10⁻⁴", "box_sharpness", _box(WHOLE, 5e-4)),
    Column("solver 1e-3", "by L-BFGS-B, %", "ε = 10⁻³", "box_sharpness", _box(SOLVER, 1e-3)),
    Column("solver 5e-4", "by L-BFGS-B, %", "ε = 5·10⁻⁴", "box_sharpness", _box(SOLVER, 5e-4)),
    Column("within 1e-3", "random subspace, %", "ε = 10⁻³", "box_sharpness", _box(WITHIN, 1e-3)),
    Column("within 5e-4", "random subspace, %", "ε = 5·10⁻⁴", "box_sharpness", _box(WITHIN, 5e-4)),
)
AT = (2.4, 3.65, 4.8, 5.85, 6.95, 8.0, 9.25, 10.65)  # where the columns stand; small numbers are long ones
RIGHT = 11.3
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Tables 2 to 4, mean and standard deviation of five runs each.
SAME = ("train", "test", "whole 1e-3", "whole 5e-4", "within 1e-3", "within 5e-4")
TABLES = """
keskar_f1 small 99.66 0.05 98.03 0.07   1.23  0.83   0.61  0.27   0.11  0.00  0.05  0.00
keskar_f1 large 99.92 0.01 97.81 0.07 205.14 69.52  42.90 17.14   9.22  0.56  9.17  0.14
keskar_c1 small 99.89 0.02 80.04 0.12  28.58  3.13   7.08  0.88   2.18  0.23  0.71  0.15
keskar_c1 large 99.66 0.20 77.26 0.42 707.23 43.04 227.31 23.23 137.25 21.60 29.50  7.48
keskar_c2 small 99.99 0.04 89.24 0.12   8.68  1.32   2.07  0.86   0.95  0.34  0.31  0.08
keskar_c2 large 99.99 0.01 87.26 0.07 925.32 38.29 175.31 18.28  25.09  2.61  5.82  0.52
keskar_c3 small 99.56 0.44 49.58 0.39  29.85  5.98   8.56  0.99  17.02  2.20  4.03  1.45
keskar_c3 large 99.88 0.30 46.45 0.43 258.75  8.96 105.11 13.22 236.03 31.26 86.96 27.39
keskar_c4 small 99.10 1.23 63.08 0.50  12.83  3.84   4.07  0.87   6.05  1.13  1.89  0.33
keskar_c4 large 99.57 1.84 57.81 0.17 421.84 36.97 109.35 16.57  72.99 10.96 19.85  4.12
"""
KESKAR = {
    (net, row): [(float(mean), float(sd)) for mean, sd in zip(numbers[::2], numbers[1::2], strict=True)]
    for net, row, *numbers in map(str.split, TABLES.strip().splitlines())
}
ROWS = {"small": "small batch", "large": "large, epochs", "large, updates": "large, updates"}


def draw(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """The table as a picture, and one row per cell: mean and sd over seeds, and Keskar's (both in %).

    Error: ± is the standard deviation over seeds; every sharpness is a lower bound of its maximum.

    Source: Keskar et al. 2017 (1609.04836), tables 2, 3 and 4.
    """
    batches.check(table)
    rows = pd.concat([cells(table, column) for column in COLUMNS])
    drawn = beside(batches.over_seeds(rows, ["model.name", "data.name", "row", "batch_size", "column"]))
    drawn.attrs.update(said(drawn, table, rows))
    lines = drawn.groupby(["model.name", "row"]).ngroups
    figure = Figure(
        figsize=(DOUBLE, 1.0 + 0.38 * lines + 0.25 * drawn["model.name"].nunique()), layout="constrained"
    )
    axes = figure.add_subplot()
    write(axes, drawn)
    figure.supxlabel(drawn.attrs["footnote"], fontsize=7)
    return figure, drawn


def cells(table: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The numbers of one column, of the small and the large batch of each network, in %."""
    rows = numbers(table, column.measure, **column.place).assign(column=column.key)
    parts = []
    for _, own in rows.groupby("model.name"):
        sizes = dict(zip(("small", "large"), batches.ends(own), strict=True))
        for row in ROWS:
            size, match = row.partition(",")[0], "updates" if "," in row else "epochs"
            here = own[(own["batch_size"] == sizes[size]) & (own["budget.match"] == match)]
            parts.append(here.assign(row=row, value=here["value"] * column.scale))
    return pd.concat(parts)


def beside(drawn: pd.DataFrame) -> pd.DataFrame:
    """The cells with Keskar's numbers, where there are any; their solver is L-BFGS-B."""
    found = [keskar(*cell) for cell in zip(drawn["model.name"], drawn["row"], drawn["column"], strict=True)]
    return drawn.assign(keskar_mean=[mean for mean, _ in found], keskar_sd=[sd for _, sd in found])


def keskar(net: str, row: str, column: str) -> tuple[float, float]:
    """Mean and standard deviation that they have for a cell; NaN where there is none.

    >>> keskar("keskar_f1", "large", "whole 1e-3")
    (205.14, 69.52)
    """
    column = column.replace("solver", "whole")
    return dict(zip(SAME, KESKAR.get((net, row), ()), strict=False)).get(column, (math.nan, math.nan))


def write(axes: Axes, drawn: pd.DataFrame) -> None:
    """The table: ours in black, Keskar's in grey below it."""
    axes.set_axis_off()
    y, at = head(axes), {column.key: x for x, column in zip(AT, COLUMNS, strict=True)}
    for net in batches.nets(drawn):
        own = drawn[drawn["model.name"] == net]
        axes.axhline(y + 0.2, color="black", linewidth=0.6)
        axes.text(0, y + 0.65, batches.title(own), weight="bold", va="center")
        y += 0.7
        for row in (r for r in ROWS if (own["row"] == r).any()):
            here, y = own[own["row"] == row], y + 0.6
            axes.text(0.1, y, f"{ROWS[row]} ({here['batch_size'].iloc[0]:g})", fontsize=7, va="center")
            for cell in here.itertuples():
                place: Any = {"ha": "center", "va": "center", "fontsize": 7}
                axes.text(at[cell.column], y, ours(cell), **place)
                axes.text(at[cell.column], y + 0.45, theirs(cell), color="0.45", **place)
            y += 0.5
    axes.axhline(y + 0.4, color="black", linewidth=0.6)
    axes.set(xlim=(0, RIGHT), ylim=(y + 0.5, -1.4))


def head(axes: Axes) -> float:
    """The names of the columns, and of pairs of them; returns the height below."""
    for i, (x, column) in enumerate(zip(AT, COLUMNS, strict=True)):
        axes.text(x, 0, column.head, ha="center", va="center", fontsize=7)
        if i % 2 == 0:
            middle = (x + AT[i + 1]) / 2
            axes.text(middle, -0.85, column.group, ha="center", va="center", fontsize=7, weight="bold")
            axes.plot([x - 0.4, AT[i + 1] + 0.4], [-0.45, -0.45], color="black", linewidth=0.4)
    return 0.2


def ours(cell: Any) -> str:
    """Mean ± standard deviation, starred where a number is not sound."""
    return spelt(cell.mean, cell.std, cell.column) + "*" * bool(cell.not_ok) if cell.n else "no number*"


def theirs(cell: Any) -> str:
    """Keskar's cell; empty where they have none."""
    return spelt(cell.keskar_mean, cell.keskar_sd, cell.column) if math.isfinite(cell.keskar_mean) else ""


def spelt(mean: float, sd: float, column: str) -> str:
    """Both with two decimals for an accuracy, else about three digits; one run has no standard deviation.

    >>> spelt(707.23, 43.04, "whole 1e-3"), spelt(0.0234, 0.001, "within 1e-3"), spelt(99.5, math.nan, "test")
    ('707 ± 43', '0.023 ± 0.001', '99.50')
    >>> spelt(0.00342, 0.0021, "within 1e-3")
    '3.4 ± 2.1 ·10⁻³'
    """
    power = min(math.floor(math.log10(mean)), 0) if mean > 0 else 0
    unit = 10.0**power if power < -2 else 1.0
    places = 1 if unit < 1 else 3 if mean < 0.0995 else 2 if mean < 9.995 else 1 if mean < 99.95 else 0
    places = 2 if column in ("train", "test") else places
    spread = f" ± {sd / unit:.{places}f}" if math.isfinite(sd) else ""
    return f"{mean / unit:.{places}f}{spread}" + (f" ·10{str(power).translate(RAISED)}" if unit < 1 else "")


def ratio(drawn: pd.DataFrame, net: str, row: str) -> float:
    """Sharpness of a large batch over that of the small one, whole space, ε = 1e-3."""
    own = drawn[(drawn["model.name"] == net) & (drawn["column"] == "whole 1e-3")].set_index("row")["mean"]
    return float(own.get(row, math.nan) / own.get("small", math.nan))


def times(drawn: pd.DataFrame, net: str, row: str) -> str:
    """That ratio in words; a sharpness that is missing, infinite or 0 gives none."""
    found = ratio(drawn, net, row)
    return f"{found:.2g} times as sharp" if math.isfinite(found) else "no ratio of finite sharpness"


def said(drawn: pd.DataFrame, table: pd.DataFrame, rows: pd.DataFrame) -> dict[str, Any]:
    """The caption, the footnote and the numbers behind them."""
    titles = {net: batches.title(drawn[drawn["model.name"] == net]) for net in batches.nets(drawn)}
    message = "; ".join(
        f"{title}: {times(drawn, net, 'large')} after as many epochs, "
        f"{times(drawn, net, 'large, updates')} after as many updates"
        for net, title in titles.items()
    )
    box = settings(numbers(table, "box_sharpness", WHOLE))
    what = (
        f"mean ± standard deviation, {batches.many(drawn['n'])} seeds; sharpness: lower bounds, "
        f"{box['starts']} starts of {box['steps']} steps, subspace of {box['subspace']} dimensions"
    )
    lost = batches.doubts(table[table["run_id"].isin(rows["run_id"])], rows)
    star = "* " if (drawn["not_ok"] > 0).any() else ""
    return batches.attributes(
        f"The large batch against the small one: {message}. {what}. {star}{lost}".strip(),
        f"{what}\nin grey: Keskar et al. 2017, whole sets, full width, batches of 256 and 10 %"
        + (f"\n{star}{lost}" if lost else ""),
        {"measure": ["error", "box_sharpness"], "columns": [c.key for c in COLUMNS]},
        {
            " ".join(cell): int(n)
            for *cell, n in drawn[["model.name", "row", "column", "n"]].itertuples(index=False)
        },
    )
