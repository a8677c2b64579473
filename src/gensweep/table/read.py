"""A tidy table from a file, refused when `collect` cannot have written it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from gensweep.errors import InputError
from gensweep.rows import COLUMNS, KEY, STATUSES
from gensweep.table.places import existing_table

PROVENANCE = ("settings", "git_sha", "git_dirty", "data_note", "reason")
# Text that a CSV reader would take for numbers (a run id 1234567890e5) or for missing ones (an empty split).
TEXT = (
    "run_id",
    "measure",
    "quantity",
    "split",
    "unit",
    "status",
    "reason",
    "settings",
    "data_note",
    "git_sha",
    "start.run",
    "experiment",
)
NUMBERS = (
    "value",
    "stderr",
    "index",
    "x",
    "y",
    "seed",
    "poison_factor",
    "train_size",
    "seconds",
    "train_seconds",
)
VERSIONS = ("gensweep_version", "torch_version")


def load(path: Path, experiments: Collection[str] = ()) -> pd.DataFrame:
    """The table in a ``.parquet`` or ``.csv`` file, or in all Parquet files of a folder.

    Args:
        path: The file or folder.
        experiments: Of a folder only the files of these, ``NAME-SCALE.parquet``; empty takes all.

    Raises:
        InputError: There is no such file, or it is no table of gensweep's.
    """
    existing_table(path)
    if not path.is_dir():
        return _file(path)
    found = [f for f in sorted(path.glob("*.parquet")) if not experiments or name_of(f.stem) in experiments]
    if not found:
        raise InputError(f"{path} has no table of {' or '.join(experiments) or 'any experiment'}")
    table = pd.concat([_file(file) for file in found], ignore_index=True)
    refuse_odd(table, path)
    return table


def name_of(experiment: str) -> str:
    """NAME of NAME-SCALE.

    >>> name_of("volume-gap-laptop")
    'volume-gap'
    """
    return experiment.rpartition("-")[0]


def _file(path: Path) -> pd.DataFrame:
    dtype = dict.fromkeys((*TEXT, *VERSIONS), str)
    try:
        table = (
            _parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=dtype, low_memory=False)
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a table: {reason}") from None
    missing = [c for c in (*COLUMNS, *PROVENANCE) if c not in table]
    if missing or table.empty:
        raise InputError(f"{path} is not a table of gensweep's: it has no {', '.join(missing) or 'rows'}")
    if odd := [c for c in NUMBERS if c in table and not pd.api.types.is_numeric_dtype(table[c].dropna())]:
        raise InputError(f"{path}: the column {odd[0]} holds something else than numbers; collect it anew")
    refuse_odd(table, path)
    text = [c for c in TEXT if c in table]
    return table.assign(**{c: table[c].fillna("") for c in text})


def _parquet(path: Path) -> pd.DataFrame:
    """Its columns alone: what else a file says to pandas, and kinds of its own, are not asked for."""
    file = pq.ParquetFile(path)
    if odd := [f.name for f in file.schema_arrow if not _is_plain(f.type)]:
        raise ValueError(f"{', '.join(odd)} is neither text nor a number")
    return file.read().replace_schema_metadata(None).to_pandas()


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return text or pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind in (pa.bool_(), pa.null())


def refuse_odd(table: pd.DataFrame, path: Path) -> None:
    """Refuse what `collect` cannot have written: two rows under a key, no status of ours, NaN that is ok."""
    if table.duplicated([*KEY, *({"experiment"} & {*table})]).any():
        raise InputError(f"{path} has two rows under one key; collect it anew")
    if odd := sorted({*table["status"].astype(str)} - {*STATUSES}):
        raise InputError(f"{path} has the status {odd[0]}, which gensweep does not know; collect it anew")
    if (~np.isfinite(table["value"].astype(float)) & (table["status"] == "ok")).any():
        raise InputError(f"{path} has a value that is missing or infinite and said to be ok; collect it anew")
