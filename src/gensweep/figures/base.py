"""What all figures share: reading the table, refusing a second knob that moved, and saving. No torch.

A figure is a module beside this one with ``TITLE``, ``ALT`` and ``draw(table) -> (figure, drawn)``.
``drawn`` holds exactly the points in the picture; its ``attrs`` say the rest: ``caption`` (the message,
with n), ``filters`` (which rows were taken) and ``n`` (per point). Where it may have two more: ``RUNS``, the
experiment whose runs it draws (or several), if it is not the one of its own name, and
``also(table) -> {file name: content}``, what is saved beside it.
"""

from __future__ import annotations

import importlib
import io
import itertools
import json
import pkgutil
import re
from collections.abc import Mapping, Sized
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from gensweep import figures
from gensweep.errors import InputError, close_match
from gensweep.figures.origin import provenance
from gensweep.rows import COLUMNS
from gensweep.sweep.identity import SCIENCE
from gensweep.table.read import load, name_of
from gensweep.table.shards import spreadsheet
from gensweep.table.store import sha256, write_atomically

COLUMN, DOUBLE = 3.3, 6.75  # inches: width of one and of two columns of a paper
ODD = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)
STYLE = Path(__file__).with_name("gensweep.mplstyle")


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """One row per run, under its run_id: the first row of each, for its knobs and provenance."""
    return table.drop_duplicates("run_id").set_index("run_id").sort_index()


def moving(table: pd.DataFrame) -> list[str]:
    """The knobs that take more than one value among the runs; a knob that a run lacks is a value too."""
    first = runs(table)
    return [c for c in first if c.partition(".")[0] in SCIENCE and first[c].nunique(dropna=False) > 1]


def vary(table: pd.DataFrame, *knobs: str) -> None:
    """Refuse a table in which a knob moved other than these and ``seed``.

    Raises:
        InputError: Names that knob and its values, or the one of ``knobs`` and ``seed`` that the table lacks.
    """
    for knob in (*knobs, "seed"):
        if knob not in table:
            raise InputError(f"the table has no column {knob}, which this figure needs")
    for knob in moving(table):
        if knob not in (*knobs, "seed"):
            values = ", ".join(map(str, runs(table)[knob].unique()))
            raise InputError(
                f"{knob} takes several values in this table ({values}), but this figure varies "
                f"{' and '.join(knobs)} only; collect one experiment with --experiment NAME"
            )


def numbers(table: pd.DataFrame, measure: str, quantity: str, **place: Any) -> pd.DataFrame:
    """The rows of one quantity, whatever their status.

    Args:
        table: The tidy table.
        measure: As in the column of that name.
        quantity: As in the column of that name.
        place: Further columns and the value wanted in each, such as ``split="train"``.

    Raises:
        InputError: There are none.
    """
    rows = table[(table["measure"] == measure) & (table["quantity"] == quantity)]
    for column, value in place.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        where = "".join(f", {column}={value}" for column, value in place.items())
        raise InputError(f"the table has no {quantity} of the measure {measure}{where}")
    return rows


def settings(rows: pd.DataFrame) -> dict[str, Any]:
    """The settings of the measure that made these rows.

    Raises:
        InputError: They were made under several.
    """
    found = rows["settings"].unique()
    if len(found) > 1:
        measure = rows["measure"].iloc[0]
        raise InputError(f"{measure} was measured under {len(found)} settings; collect one experiment")
    return json.loads(found[0])


def absent(table: pd.DataFrame, rows: pd.DataFrame, knob: str = "poison_factor") -> list[str]:
    """The places of the grid knob × seed with no such rows: the run was never started, failed or diverged."""
    there = set(zip(rows[knob], rows["seed"], strict=True))
    grid = itertools.product(sorted(table[knob].unique()), sorted(table["seed"].unique()))
    lacking = [place for place in grid if place not in there]
    return [
        f"{knob}={value if isinstance(value, str) else f'{value:g}'} seed={seed}" for value, seed in lacking
    ]


def counted(runs: Sized, what: str) -> str:
    """That so many runs did ``what``; empty when none did."""
    return f"{len(runs)} run{'s' * (len(runs) > 1)} {what}" if len(runs) else ""


def flaws(rows: pd.DataFrame) -> str:
    """How many of these numbers are not ``ok``, in words; empty when all are."""
    counts = rows.loc[rows["status"] != "ok", "status"].value_counts(sort=False)
    return ", ".join(f"{count} of {len(rows)} {status}" for status, count in counts.items())


def lowest_seed(table: pd.DataFrame, beta: float) -> str:
    """The run of this poison factor with the lowest seed: a choice that no result can sway."""
    here = runs(table)[lambda r: r["poison_factor"] == beta]
    return str(here["seed"].idxmin())


def names() -> list[str]:
    """The figures that can be drawn.

    >>> "volume-gap" in names()
    True
    """
    found = (module.name for module in pkgutil.iter_modules(figures.__path__))
    return sorted(name.replace("_", "-") for name in found if _is_figure(name))


def _is_figure(name: str) -> bool:
    """Whether this module draws a figure; others help them. Looked up in its text: importing all is slow."""
    return "\nTITLE = " in STYLE.with_name(f"{name}.py").read_text()


def module(name: str) -> Any:
    """The module that draws the figure NAME.

    Raises:
        InputError: There is no such figure.
    """
    if name not in names():
        raise InputError(f"no figure {name}; {close_match(name, names())}")
    return importlib.import_module(f"gensweep.figures.{name.replace('-', '_')}")


def draw(name: str, table: pd.DataFrame | Path, folder: Path) -> list[Path]:
    """Draw the figure NAME from the table alone; returns the files that now hold it.

    Raises:
        InputError: The figure is unknown, or the table does not hold what it needs.
    """
    artist = module(name)
    table = load(table, drawn_from(name)) if isinstance(table, Path) else table
    table = own_rows(table, name)
    with matplotlib.rc_context(), style.context(STYLE):
        try:
            figure, drawn = artist.draw(table)
            also = artist.also(table) if hasattr(artist, "also") else {}
            return save(name, figure, drawn, table, folder, also)
        except ODD as error:  # a table that was cut or changed by hand, or has too little to draw
            raise InputError(refusal(name, table, error)) from error


def refusal(name: str, table: pd.DataFrame, error: Exception) -> str:
    """What this table lacks, in a sentence, as far as the error tells."""
    named = re.findall(r"'([\w.]+)'", str(error))
    if lacking := [c for c in named if c not in table and c.partition(".")[0] in (*COLUMNS, *SCIENCE)]:
        return f"the table has no column {lacking[0]}, which {name} needs"
    if re.search(r"\b(nan|inf|infinity|log-scaled)\b", str(error), re.IGNORECASE):
        return f"{name} cannot be drawn: numbers that it needs are missing from this table, or infinite"
    kind, where = type(error).__name__, "`gensweep --debug figure` shows where"
    return f"{name} cannot be drawn from this table ({kind}: {error}); {where}"


def drawn_from(name: str) -> tuple[str, ...]:
    """The experiments whose runs a figure can draw, its own first."""
    shared = getattr(module(name), "RUNS", ())
    return (name, *([shared] if isinstance(shared, str) else shared))


def own_rows(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of the figure's own experiment, else of those that it shares; all of a table of another one.

    Raises:
        InputError: The table holds several experiments and none of these, or the same one at two scales.
    """
    asked = table["experiment"] if "experiment" in table else pd.Series("", table.index)
    own, *shared = drawn_from(name)
    names = asked.map(name_of)
    wanted = [own] if (names == own).any() else shared
    rows = table[names.isin(wanted)]
    if rows.empty and asked.nunique() > 1:
        raise InputError(
            f"the table holds {', '.join(sorted(asked.unique()))}, and {name} is drawn from "
            f"{' or '.join(drawn_from(name))}; make it with `gensweep run experiment={own}`"
        )
    rows = table if rows.empty else rows
    scales = sorted(asked[rows.index].str.rpartition("-")[2].unique())
    if len(scales) > 1:
        raise InputError(f"the table holds {name} at the scales {' and '.join(scales)}; collect one of them")
    return rows


def save(
    name: str,
    figure: Figure,
    drawn: pd.DataFrame,
    table: pd.DataFrame,
    folder: Path,
    also: Mapping[str, bytes] = MappingProxyType({}),
) -> list[Path]:
    """NAME.pdf, NAME.png, NAME.csv (the points drawn) and NAME.json (where they came from), and the rest.

    The same table gives the same bytes: no time of day is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    points = spreadsheet(drawn).encode()
    about = json.dumps(
        provenance(name, module(name), drawn, table) | {"data_sha256": sha256(points)}, indent=1
    )
    pdf, png = io.BytesIO(), io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    figure.savefig(png, format="png")
    contents = {"pdf": pdf.getvalue(), "png": png.getvalue(), "csv": points, "json": about.encode()}
    files = {f"{name}.{ending}": content for ending, content in contents.items()} | {**also}
    for file, content in files.items():
        write_atomically(folder / file, content)
    return [folder / file for file in files]
