"""One HTML page that says what a sweep found, what to doubt about it, and where it came from. No torch."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from gensweep.errors import InputError
from gensweep.figures.base import absent, counted, draw, moving, runs
from gensweep.figures.origin import commits, notes
from gensweep.headline import KNOB, headline, pick, unfit
from gensweep.sweep.identity import SCIENCE
from gensweep.table.read import VERSIONS
from gensweep.table.store import sha256, write_atomically

# Heading of the run table → measure, quantity, split; of several x (cutoff, ε) the middle one is shown.
SHOWN = {
    "train accuracy": ("error", "accuracy", "train"),
    "test accuracy": ("error", "accuracy", "test"),
    "gap": ("error", "gap_error", ""),
    "log10 volume": ("basin", "log10_volume", "train"),
    "sharpness %": ("box_sharpness", "keskar_sharpness", "train"),
    "margin p05": ("margin", "margin_p05", "train"),
}


def report(table: pd.DataFrame, figures: Iterable[str], path: Path, complaints: Sequence[str] = ()) -> Path:
    """Write the page: headline numbers, warnings, figures, runs, measures, provenance. It needs no network.

    Args:
        table: The tidy table.
        figures: Names of the figures to draw; those that this table cannot give say why.
        path: The HTML file; its folder is made.
        complaints: What ``collect`` said of runs that are missing or damaged.
    """
    page = jinja2.Environment(
        loader=jinja2.PackageLoader("gensweep", "."), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("report.html.j2")
    pictures = [picture(name, table) for name in figures]
    html = page.render(
        headline=headline(table),
        warnings=[*complaints, *warnings(table)],
        gallery=pictures,
        undrawn=[one for one in pictures if one["reason"]],
        runs=run_table(table),
        measures=measure_table(table),
        provenance=provenance(table),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())
    return path


def warnings(table: pd.DataFrame) -> list[str]:
    """All that is doubtful: missing runs, unsound numbers by kind with an example, code, data."""
    said = []
    if KNOB in table and (gone := absent(table, pick(table, "error", "accuracy"))):
        said.append(f"{counted(gone, 'diverged or missing')}: {', '.join(gone)}")
    said += unfit(table)
    stopped = pick(table, "error", "target_reached")
    if (stopped["value"] == 0).any():
        said.append(counted(stopped[stopped["value"] == 0], "did not reach the target loss"))
    said += flawed(table[~table["status"].isin(["ok", "not_applicable"])], table)
    volumes = pick(table, "basin", "log10_volume")
    said += flawed(volumes[volumes["status"] == "not_applicable"], table)
    return [*said, *commits(table), *(f"data: {note}" for note in notes(table))]


def flawed(rows: pd.DataFrame, table: pd.DataFrame) -> Iterator[str]:
    """One sentence per quantity and status, with the reason of one row as an example."""
    for (measure, quantity, status), group in rows.groupby(["measure", "quantity", "status"]):
        total = len(pick(table, str(measure), str(quantity)))
        many = group["run_id"].nunique()
        reason = f", for example: {group['reason'].iloc[0]}" if group["reason"].iloc[0] else ""
        yield f"{measure} {quantity}: {len(group)} of {total} rows {status} ({many} runs){reason}"


def picture(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """The PNG of a figure as a data address, with its words; or the reason why there is none."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            draw(name, table, Path(folder))
        except InputError as error:
            return {"name": name, "reason": str(error)}
        about = json.loads(Path(folder, f"{name}.json").read_bytes())
        image = base64.b64encode(Path(folder, f"{name}.png").read_bytes()).decode()
        return {"name": name, "reason": "", "source": f"data:image/png;base64,{image}", **about}


def run_table(table: pd.DataFrame) -> dict[str, Any]:
    """One line per run: its name, the knobs that vary, and a number of each main measure."""
    knobs = [
        knob
        for knob in sorted({*moving(table), "seed"}, key=lambda knob: (knob == "seed", knob))
        if knob in table
    ]
    lines = runs(table).sort_values(knobs) if knobs else runs(table)
    found = dict(column(table, heading, *place) for heading, place in SHOWN.items())
    columns = {heading: numbers for heading, numbers in found.items() if numbers}
    rows = []
    for run in lines.index:
        known = [plain(run), *(plain(short(lines.loc[run, knob])) for knob in knobs)]
        rows.append(known + [cell(numbers.get(run)) for numbers in columns.values()])
    return {"headings": ["run", *knobs, *columns], "rows": rows}


def column(
    table: pd.DataFrame, heading: str, measure: str, quantity: str, split: str
) -> tuple[str, dict[str, Any]]:
    """A heading that says at which x, and run_id → row."""
    rows = pick(table, measure, quantity, split)
    places = np.sort(rows["x"].dropna().unique())
    if len(places):
        place = places[len(places) // 2]
        rows, heading = rows[rows["x"] == place], f"{heading} at {place:g}"
    return heading, {row.run_id: row for row in rows.itertuples()}


def plain(text: str, status: str = "", reason: str = "") -> dict[str, str]:
    """What the page shows in one cell of the run table."""
    return {"text": text, "status": status, "reason": reason}


def cell(row: Any) -> dict[str, str]:
    """A number with its standard error, and its status and reason when that is not ``ok``."""
    if row is None:
        return plain("–", "no row")
    error = f" ± {short(float(f'{row.stderr:.2g}'))}" if row.stderr > 0 else ""
    return plain(short(row.value) + error, "" if row.status == "ok" else row.status, row.reason)


def short(value: Any) -> str:
    """A number to four digits or to the unit, anything else as it is, an empty knob as a dash."""
    if value is None or value != value:
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def measure_table(table: pd.DataFrame) -> list[list[Any]]:
    """Per quantity: measure, unit, rows, runs, and rows that are not ``ok``."""
    groups = table.groupby(["measure", "quantity"])
    counts = groups.agg(
        unit=("unit", "first"),
        rows=("value", "size"),
        runs=("run_id", "nunique"),
        flawed=("status", lambda status: int((status != "ok").sum())),
    )
    return counts.reset_index().to_numpy().tolist()


def provenance(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Where the numbers came from: label and value."""
    once = runs(table)
    labels = [label for label in ("git_sha", *VERSIONS, "device", "threads", "machine") if label in table]
    said = {label: sorted(map(str, table[label].unique())) for label in labels}
    if "train_seconds" in once:
        said["seconds of training, all runs"] = [f"{once['train_seconds'].sum():.0f}"]
    for (measure, settings), _ in table.groupby(["measure", "settings"]):
        said.setdefault(f"settings of {measure}", []).append(str(settings))
    said["constant knobs"] = [f"{k}={short(once[k].iloc[0])}" for k in constant(once)]
    said["SHA-256 of the table as CSV"] = [sha256(table.to_csv(index=False).encode())]
    return [(label, ", ".join(values)) for label, values in said.items()]


def constant(once: pd.DataFrame) -> list[str]:
    """The knobs that have one value in all runs."""
    return [c for c in once if c.partition(".")[0] in SCIENCE and once[c].nunique(dropna=False) == 1]
