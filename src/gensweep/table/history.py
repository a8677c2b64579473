"""What the runs of a store took: seconds and bytes, written down with their numbers. No torch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gensweep.table.atomic import write_atomically
from gensweep.table.plain import content_of, from_json
from gensweep.table.store import Damaged, Run, Store

ASKED = "asked.json"  # what a run was begun for; for people, nothing is decided by it
LATEST = 200  # runs that are looked at: a plan has to be there at once
CPU = ("AVX", "NO AVX", "DEFAULT", "VSX", "Z VECTOR", "SVE")  # torch's names of instruction sets


@dataclass(frozen=True)
class Past:
    """One trained run.

    Args:
        run_id: Its name.
        science: Its config.
        outcome: Epochs and updates, and ``train_seconds``: None when that is only the time since a restart.
        shards: Shard → seconds that its measure took.
        place: Processes, threads, and ``cpu`` or ``cuda``; None before the first measure.
        size: Bytes of its files.
    """

    run_id: str
    science: dict[str, Any]
    outcome: dict[str, Any]
    shards: dict[str, float]
    place: tuple[int, int, str] | None
    size: int


def history(store: Store) -> list[Past]:
    """The latest runs that were trained to a finite loss; what cannot be read is left out."""
    begun = sorted(store.runs(), key=_changed, reverse=True)[:LATEST]
    return [past for run in begun for past in _past(run)]


def _changed(run: Run) -> float:
    try:
        return (run.folder / "manifest.json").stat().st_mtime
    except OSError:
        return 0.0


def _past(run: Run) -> Iterator[Past]:
    with contextlib.suppress(Damaged, KeyError, ValueError, TypeError, AttributeError, OSError):
        outcome = from_json(run.read("outcome.json"))
        if outcome["state"] != "trained":
            return
        if len(list((run.folder / "log").glob("version_*"))) > 1:
            outcome["train_seconds"] = None
        made = dict(_provenances(run))
        seconds = {name: float(found["seconds"]) for name, found in made.items()}
        place = next((_place(found) for found in made.values()), None)
        yield Past(run.run_id, asked(run), outcome, seconds, place, size(run.folder))


def _provenances(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    """Shard → where its rows came from, out of the end of its file."""
    import pyarrow.parquet as pq

    for name in run.manifest():
        if name.startswith("rows/"):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                metadata = pq.read_metadata(run.folder / name).metadata
                shard = name.removeprefix("rows/").removesuffix(".parquet")
                yield shard, from_json(metadata[b"provenance"])


def _place(found: dict[str, Any]) -> tuple[int, int, str]:
    kind = "cpu" if found["device"].upper().startswith(CPU) else "cuda"
    return found["processes"], found["threads"], kind


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def note_asked(run: Run, science: dict[str, Any]) -> None:
    """Write down what a run is begun for: its config is committed only once it is trained."""
    write_atomically(run.folder / ASKED, json.dumps(science).encode())


def asked(run: Run) -> dict[str, Any]:
    """The config of a run, trained or begun; empty where neither can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = from_json(content_of(run.folder / ASKED))
        if found:
            return found
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError, Damaged):
        found = run.config()
        return found if isinstance(found, dict) else {}
    return {}
