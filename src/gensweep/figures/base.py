"""What all figures share: reading the table, refusing a second knob that moved, and saving. No torch.

A figure is a module beside this one with ``TITLE``, ``ALT`` and ``draw(table) -> (figure, drawn)``.
``drawn`` holds exactly the points in the picture; its ``attrs`` say the rest: ``caption`` (the message,
with n), ``filters`` (which rows were taken) and ``n`` (per point).
"""

from __future__ import annotations

import importlib
import io
import itertools
import json
import pkgutil
from collections.abc import Sized
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import style
from matplotlib.figure import Figure

from gensweep import figures
from gensweep.errors import InputError, close_match
from gensweep.sweep.identity import SCIENCE
from gensweep.table.read import VERSIONS, load
from gensweep.table.shards import spreadsheet
from gensweep.table.store import sha256, write_atomically

COLUMN, DOUBLE = 3.3, 6.75  # inches: width of one and of two columns of a paper
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
        InputError: Names that knob and its values, or the one of ``knobs`` that the table lacks.
    """
    for knob in knobs:
        if knob not in table:
            raise InputError(f"the table has no column {knob}, which this figure varies")
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


def commits(table: pd.DataFrame) -> list[str]:
    """What is doubtful about the code that made the rows: several commits, or uncommitted changes."""
    said = []
    if len(shas := table["git_sha"].unique()) > 1:
        said.append(
            f"rows of {len(shas)} commits are mixed: {', '.join(sorted(s[:12] or 'unknown' for s in shas))}"
        )
    if (dirty := table["git_dirty"].astype(str).isin(["True", "1", "1.0"])).any():
        said.append(
            f"{table.loc[dirty, 'run_id'].nunique()} runs were made with uncommitted changes in the code"
        )
    return said


def notes(table: pd.DataFrame) -> list[str]:
    """What the runs say about their copy of the data, once each."""
    return sorted(set(table["data_note"].dropna()) - {""})


def names() -> list[str]:
    """The figures that can be drawn.

    >>> "volume-gap" in names()
    True
    """
    modules = (module.name for module in pkgutil.iter_modules(figures.__path__))
    return sorted(name.replace("_", "-") for name in modules if name != "base")


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
    table = load(table) if isinstance(table, Path) else table
    with matplotlib.rc_context(), style.context(STYLE):
        figure, drawn = artist.draw(table)
        return save(name, figure, drawn, table, folder)


def save(name: str, figure: Figure, drawn: pd.DataFrame, table: pd.DataFrame, folder: Path) -> list[Path]:
    """NAME.pdf, NAME.png, NAME.csv (the points drawn) and NAME.json (where they came from).

    The same table gives the same bytes: no time of day is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    points = spreadsheet(drawn).encode()
    about = json.dumps(provenance(name, drawn, table) | {"data_sha256": sha256(points)}, indent=1)
    pdf, png = io.BytesIO(), io.BytesIO()
    figure.savefig(pdf, format="pdf", metadata={"CreationDate": None})
    figure.savefig(png, format="png")
    contents = {"pdf": pdf.getvalue(), "png": png.getvalue(), "csv": points, "json": about.encode()}
    for ending, content in contents.items():
        write_atomically(folder / f"{name}.{ending}", content)
    return [folder / f"{name}.{ending}" for ending in contents]


def provenance(name: str, drawn: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """Which runs, commits, versions and filters stand behind the figure, and what to doubt about it."""
    ids = drawn["run_id"].unique() if "run_id" in drawn else table["run_id"].unique()
    used = table[table["run_id"].isin(ids)]
    artist = module(name)

    def values(column: str) -> list[str]:
        return sorted(map(str, used[column].unique()))

    return {
        "figure": name,
        "title": artist.TITLE,
        "alt": artist.ALT,
        "message": drawn.attrs.get("caption", ""),
        "filters": drawn.attrs.get("filters", {}),
        "n_per_point": drawn.attrs.get("n", {}),
        "points": len(drawn),
        "run_ids": sorted(ids),
        "git_sha": values("git_sha"),
        "versions": {c.removesuffix("_version"): values(c) for c in VERSIONS}
        | {"matplotlib": matplotlib.__version__, "numpy": np.__version__, "pandas": pd.__version__},
        "data_note": notes(used),
        "warnings": commits(used),
    }
