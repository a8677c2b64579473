"""Rows to Parquet and back, and all of them into one tidy table."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gensweep.errors import InputError
from gensweep.rows import COLUMNS, KEY, QUANTITIES, Row
from gensweep.sweep.identity import flatten
from gensweep.table.plain import from_json
from gensweep.table.store import Damaged, Run, Store, write_atomically

_ROW = pa.schema(
    [
        ("quantity", pa.string()),
        ("value", pa.float64()),
        ("stderr", pa.float64()),
        ("split", pa.string()),
        ("index", pa.int64()),
        ("x", pa.float64()),
        ("y", pa.float64()),
        ("status", pa.string()),
        ("reason", pa.string()),
    ]
)
MOST_ROWS = 10_000_000  # of one measure; a few bytes can stand for any number of equal ones
_KNOBS_FIRST = ("seed", "poison_factor", "batch_size", "train_size", "confusion_size", "poison_size")


def encoded(rows: Sequence[Row], provenance: Mapping[str, Any]) -> bytes:
    """The rows of one measure as Parquet, with where they came from in the file's metadata."""
    table = _arrow(rows)
    table = table.replace_schema_metadata({"provenance": json.dumps(dict(provenance))})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _arrow(rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=_ROW)


def decoded(content: bytes) -> tuple[pa.Table, dict[str, Any]]:
    """The rows of a shard and their provenance.

    Raises:
        ValueError: They are not what `encoded` writes.
    """
    file = pq.ParquetFile(io.BytesIO(content))
    if not file.schema_arrow.equals(_ROW) or file.metadata.num_rows > MOST_ROWS:
        raise ValueError("it does not hold the rows of a measure")
    table = file.read()
    said = (table.schema.metadata or {}).get(b"provenance", b"")
    return table.replace_schema_metadata(None), from_json(said)


def collect(store: Store, experiment: str | None = None) -> tuple[pd.DataFrame, list[str]]:
    """One tidy table of all committed rows, or of those that an experiment asked for.

    Returns:
        The table, and a sentence for every run that is missing or damaged.

    Raises:
        InputError: Two rows stand under one key, or there is nothing to collect.
    """
    wanted = store.experiment(experiment) if experiment else {run.run_id: None for run in store.runs()}
    frames, complaints = [], []
    for run_id, shards in wanted.items():
        try:
            frames += _frames(store.run(run_id), shards)
        except Damaged as error:
            complaints.append(str(error))
    if not frames:
        raise InputError("; ".join(complaints) or f"no rows in {store.outputs}; start with `gensweep run`")
    table = _tidy(pd.concat(frames, ignore_index=True).assign(experiment=experiment or ""))
    _refuse_duplicates(table)
    return table, complaints


def _frames(run: Run, shards: Iterable[str] | None) -> list[pd.DataFrame]:
    committed = [
        n.removeprefix("rows/").removesuffix(".parquet") for n in run.manifest() if n.startswith("rows/")
    ]
    if run.diverged():
        shards = None
    missing = [] if shards is None else sorted(set(shards) - set(committed))
    if missing or not committed:
        state = run.state()
        lacking = ", ".join(missing) or "rows"
        raise Damaged(f"run {run.run_id} is {state['state']}, without {lacking} {state.get('reason', '')}")
    names = committed if shards is None else [*shards]
    knobs = {k: _scalar(v) for k, v in flatten(run.config()).items() if not k.endswith("_target_")}
    outcome = run.outcome()
    return [_frame(run, name, knobs, outcome) for name in names]


def _frame(run: Run, shard: str, knobs: Mapping[str, Any], outcome: Mapping[str, Any]) -> pd.DataFrame:
    try:
        table, provenance = decoded(run.read(f"rows/{shard}.parquet"))
    except (ValueError, OSError) as error:  # pyarrow's errors are of these kinds
        reason = str(error).partition("\n")[0]
        raise Damaged(f"run {run.run_id}: rows/{shard}.parquet cannot be read: {reason}") from None
    frame = _named(table, run.run_id, shard.rpartition("-")[0])
    constants = pd.DataFrame([{**knobs, **outcome, **provenance}] * len(frame), index=frame.index)
    return pd.concat([frame, constants], axis=1)


def tabulated(rows: Mapping[str, Sequence[Row]], run_id: str) -> pd.DataFrame:
    """The tidy table of rows that were never stored, by measure."""
    tables = {measure: _arrow(of_one) for measure, of_one in rows.items()}
    frames = [_named(table, run_id, measure) for measure, table in tables.items()]
    return _tidy(pd.concat(frames, ignore_index=True))


def _named(table: pa.Table, run_id: str, measure: str) -> pd.DataFrame:
    """Rows with the columns that a shard need not repeat."""
    frame = table.to_pandas()
    frame.insert(0, "run_id", run_id)
    frame.insert(1, "measure", measure)
    frame["unit"] = frame["quantity"].map(QUANTITIES[measure])
    return frame


def _scalar(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value


def _tidy(table: pd.DataFrame) -> pd.DataFrame:
    """Columns in the order of the contract, rows in the order of the key."""
    rest = [c for c in table.columns if c not in (*COLUMNS, "reason")]
    first = [c for c in _KNOBS_FIRST if c in rest]
    ordered = table[[*COLUMNS, *first, *(c for c in rest if c not in first), "reason"]].apply(_of_one_kind)
    return ordered.sort_values(list(KEY), kind="stable", ignore_index=True)


def _of_one_kind(column: pd.Series) -> pd.Series:
    """A knob that is text in one run and a number in another, as budget.keep may be, is text in all."""
    if pd.api.types.infer_dtype(column, skipna=True) not in ("mixed", "mixed-integer"):
        return column
    return column.map(lambda v: v if isinstance(v, str) else json.dumps(v), na_action="ignore")


def _refuse_duplicates(table: pd.DataFrame) -> None:
    twice = table[table.duplicated(list(KEY))]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(
            f"run {row.run_id} holds {row.measure} rows under two settings, so one key has two values; "
            "collect one experiment at a time with --experiment NAME"
        )


def write(table: pd.DataFrame, path: Path) -> list[Path]:
    """The table as Parquet and as CSV beside it; returns both paths."""
    if path.is_dir():
        path = path / "table"
    stem = path.stem if path.suffix in (".parquet", ".csv") else path.name
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet, text = path.with_name(f"{stem}.parquet"), path.with_name(f"{stem}.csv")
    sink = io.BytesIO()
    table.to_parquet(sink, index=False, compression="zstd", compression_level=19)
    write_atomically(parquet, sink.getvalue())
    write_atomically(text, spreadsheet(table).encode())
    return [parquet, text]


def spreadsheet(table: pd.DataFrame) -> str:
    """The table as CSV; text that a spreadsheet would run as a formula begins with an apostrophe there."""
    text = table.select_dtypes(include=["object", "string"])
    harmless = table.assign(**{c: text[c].map(_harmless) for c in text}).rename(columns=_harmless)
    return harmless.to_csv(index=False)


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
