"""One HTML page that says what a sweep found, what to doubt about it, and where it came from. No torch."""

from __future__ import annotations

import base64
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from gensweep.errors import InputError
from gensweep.figures.base import absent, commits, counted, draw, flaws, moving, notes, runs
from gensweep.figures.volume_gap import correlation
from gensweep.sweep.identity import SCIENCE
from gensweep.table.read import VERSIONS
from gensweep.table.store import sha256, write_atomically

KNOB, FITS = "poison_factor", 0.99  # FITS: train accuracy that counts as fitting
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
        figures: Names of the figures to draw; one that this table cannot give says why instead.
        path: The HTML file; its folder is made.
        complaints: What ``collect`` said of runs that are missing or damaged.
    """
    page = jinja2.Environment(
        loader=jinja2.PackageLoader("gensweep", "."), autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("report.html.j2")
    html = page.render(
        headline=headline(table),
        warnings=[*complaints, *warnings(table)],
        gallery=[picture(name, table) for name in figures],
        runs=run_table(table),
        measures=measure_table(table),
        provenance=provenance(table),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())
    return path


def headline(table: pd.DataFrame) -> list[str]:
    """The numbers to remember, one plain line each."""
    said = [f"{table['run_id'].nunique()} runs" + grid(table)]
    betas = ends(table)
    for split in ("train", "test"):
        places = [f"{mean_sd(table, split, beta)} at β = {beta:g}" for beta in betas]
        said.append(f"{split} accuracy: {', '.join(places)}")
    said += unfit(table)
    if len(betas) == 2:
        said += volume_lines(table, *betas)
    return said


def grid(table: pd.DataFrame) -> str:
    """The sizes of the sweep: how many values each moving knob takes."""
    sizes = [
        f"{knob}: {runs(table)[knob].nunique(dropna=False)} values"
        for knob in sorted(moving(table), key="seed".__eq__)
    ]
    return f" ({', '.join(sizes)})" if sizes else ""


def ends(table: pd.DataFrame) -> list[float]:
    """The lowest and the highest poison factor; one when it did not move."""
    betas = table[KNOB].dropna() if KNOB in table else pd.Series(dtype=float)
    return sorted({float(betas.min()), float(betas.max())}) if len(betas) else []


def pick(table: pd.DataFrame, measure: str, quantity: str, split: str | None = None) -> pd.DataFrame:
    """The rows of one quantity, possibly none."""
    rows = table[(table["measure"] == measure) & (table["quantity"] == quantity)]
    return rows if split is None else rows[rows["split"] == split]


def mean_sd(table: pd.DataFrame, split: str, beta: float) -> str:
    """Accuracy over the seeds of one poison factor."""
    accuracy = pick(table, "error", "accuracy", split)
    values = accuracy.loc[(accuracy[KNOB] == beta) & (accuracy["status"] == "ok"), "value"]
    if values.empty:
        return "no number"
    sd = f" ± {100 * values.std():.1f}" if len(values) > 1 else ""
    return f"{100 * values.mean():.1f}{sd} % (n = {len(values)} seed{'s' * (len(values) > 1)})"


def volume_lines(table: pd.DataFrame, low: float, high: float) -> Iterator[str]:
    """Per cutoff: how many orders of magnitude apart the volumes are, and their correlation with the gap."""
    gap = pick(table, "error", "gap_error").set_index("run_id")["value"]
    for quantity, name in (("log10_volume", "log10 volume"), ("log10_volume_jensen", "Jensen bound")):
        for cutoff, rows in pick(table, "basin", quantity).groupby("x"):
            rho = correlation(rows["run_id"].map(gap).to_numpy(dtype=float), rows["value"].to_numpy())
            apart, error = difference(rows[rows[KNOB] == low], rows[rows[KNOB] == high])
            flag = f"; {flaws(rows)}" if flaws(rows) else ""
            yield (
                f"{name}, cutoff {cutoff:g} nats: β = {low:g} minus β = {high:g} "
                f"is {apart:.0f} ± {error:.0f} orders of magnitude; "
                f"Spearman with the gap {rho} (n = {rho.n}){flag}"
            )


def difference(a: pd.DataFrame, b: pd.DataFrame) -> tuple[float, float]:
    """Mean of a minus mean of b, and its standard error over seeds; over rays where there is one seed."""

    def variance(rows: pd.DataFrame) -> float:
        values = rows["value"].dropna()
        return values.var() / len(values) if len(values) > 1 else float((rows["stderr"] ** 2).mean())

    return a["value"].mean() - b["value"].mean(), math.sqrt(variance(a) + variance(b))


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


def unfit(table: pd.DataFrame) -> list[str]:
    """Runs that do not fit their training set are no minima to compare: one sentence names them."""
    fits = pick(table, "error", "accuracy", "train")
    loose = fits[fits["value"] < FITS]
    named = ", ".join(
        f"{run} ({value:.1%})" for run, value in zip(loose["run_id"], loose["value"], strict=True)
    )
    return [f"{counted(loose, 'ended')} below {FITS:.0%} train accuracy: {named}"] if named else []


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
