"""Runs on disk: named by their content, committed whole or not at all, checked when read. No torch.

A run is a folder ``runs/<run_id>``. A file in it counts once its SHA-256 stands in ``manifest.json``,
which is replaced in one step after the file itself is safe; whatever else lies there is left over
from a process that died, and is made again.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gensweep.errors import InputError
from gensweep.table.atomic import sha256, write_atomically
from gensweep.table.lease import held, is_working
from gensweep.table.places import check_confined
from gensweep.table.plain import content_of, from_json, from_yaml, printable
from gensweep.table.process import myself

WORKING = ("training", "measuring")
# What one training commits together; a run that lost one of them is trained again.
TRAINED = ("config.yaml", "outcome.json", "solution.safetensors", "init.safetensors", "splits.safetensors")
KEPT = "kept.safetensors"  # committed with them by a run that keeps weights on its way
_RUN = re.compile("[0-9a-f]{12}")
_NAME = re.compile(r"(rows/)?\w[\w.-]*")  # of a committed file; none of them leads out of the folder
DIVERGED = "error-diverged"  # the one shard of a run without a finite loss


class Damaged(Exception):
    """A committed file is missing or does not match its hash."""


@dataclass(frozen=True)
class Run:
    """The folder of one run.

    Args:
        folder: ``<outputs>/runs/<run_id>``.
    """

    folder: Path

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return self.folder.name

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the run for this process.

        Raises:
            Busy: Another process holds it.
        """
        check_confined(self.folder, self.folder.parents[1])
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder):
            self.sweep_out_leftovers()
            yield

    def sweep_out_leftovers(self) -> None:
        """Delete temporary files of a process that died; call it only while holding the run."""
        for leftover in self.folder.rglob(".*.tmp"):
            leftover.unlink(missing_ok=True)

    def manifest(self) -> dict[str, str]:
        """Committed file → SHA-256; nothing counts where the manifest itself cannot be read."""
        hashes = _mapping(self.folder / "manifest.json")
        sound = all(isinstance(v, str) and _NAME.fullmatch(k) for k, v in hashes.items())
        return hashes if sound else {}

    def commit(self, files: Mapping[str, bytes]) -> None:
        """Write the files, then make them all count in one step."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, content)
        self._declare(self.manifest() | {name: sha256(content) for name, content in files.items()})

    def _declare(self, manifest: Mapping[str, str]) -> None:
        text = json.dumps(manifest, sort_keys=True, indent=1)
        write_atomically(self.folder / "manifest.json", text.encode())

    def read(self, name: str) -> bytes:
        """The content of a committed file.

        Raises:
            Damaged: It is missing or its hash is another.
        """
        expected = self.manifest().get(name)
        path = self.folder / name
        content = content_of(path) if path.is_file() else b""
        if sha256(content) != expected:
            raise Damaged(f"{path} is damaged: its SHA-256 is not the one that was committed")
        return content

    def forget_damaged(self) -> list[str]:
        """Strike damaged files from the manifest, so that they are made again; returns their names."""
        manifest = self.manifest()
        lost = [name for name in manifest if not self._intact(name)]
        if lost:
            self._declare({k: v for k, v in manifest.items() if k not in lost})
        return lost

    def _intact(self, name: str) -> bool:
        try:
            self._plain(name) if name.endswith((".yaml", ".json")) else self.read(name)
        except Damaged:
            return False
        return True

    def _plain(self, name: str) -> dict[str, Any]:
        content, parsed = self.read(name), from_yaml if name.endswith(".yaml") else from_json
        try:
            return parsed(content)
        except ValueError as error:
            raise Damaged(f"{self.folder / name} is not what gensweep writes: {error}") from None

    def has(self, *names: str) -> bool:
        """Whether all these files are committed and undamaged."""
        return all(self._intact(name) for name in names)

    def trained(self) -> bool:
        """Whether all that its training committed is there undamaged."""
        budget = self.config().get("budget") if self.has(*TRAINED) else None
        return isinstance(budget, dict) and (not budget.get("keep") or self.has(KEPT))

    def diverged(self) -> bool:
        """Whether training ended without a finite loss."""
        return self.has("outcome.json") and self.outcome().get("state") == "diverged"

    def config(self) -> dict[str, Any]:
        """The science of the run."""
        return self._plain("config.yaml")

    def outcome(self) -> dict[str, Any]:
        """How its training ended."""
        return self._plain("outcome.json")

    def state(self) -> dict[str, Any]:
        """What the run is doing, or how it ended; ``planned`` before it begins."""
        state = _said(_mapping(self.folder / "state.json"))
        if "state" not in state:
            return {"state": "planned"}
        if state["state"] in WORKING and not is_working(self.folder, state):
            state["state"] = "interrupted"
        return state

    def set_state(self, state: str, *, progress: str = "", reason: str = "") -> None:
        """Say what the run is doing; for people, nothing is decided by it but ``diverged``."""
        record = {"state": state, "progress": progress, "reason": reason, **myself(), "time": time.time()}
        write_atomically(self.folder / "state.json", json.dumps(record).encode())


def _mapping(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is none, or something else."""
    try:
        return from_json(content_of(path))
    except (OSError, ValueError):
        return {}


_KINDS = {
    "pid": int,
    "time": float,
    **dict.fromkeys(("state", "progress", "reason", "host", "machine", "born"), str),
}


def _said(record: Mapping[str, Any]) -> dict[str, Any]:
    """What of a state has the kind that it ought to have, in text that can be shown."""
    sound = {k: v for k, v in record.items() if isinstance(v, _KINDS.get(k, ())) and v not in (True, False)}
    shown = {k: printable(v) if isinstance(v, str) else v for k, v in sound.items()}
    return {k: v for k, v in shown.items() if not isinstance(v, float) or math.isfinite(v)}


@dataclass(frozen=True)
class Store:
    """All runs under one folder of outputs.

    Args:
        outputs: That folder; made when the first run begins.
    """

    outputs: Path

    def run(self, run_id: str) -> Run:
        """The run of that name, there or not."""
        return Run(self.outputs / "runs" / run_id)

    def runs(self) -> list[Run]:
        """All runs, by name."""
        return [Run(p) for p in sorted((self.outputs / "runs").glob("*")) if _RUN.fullmatch(p.name)]

    def find(self, prefix: str) -> Run:
        """The one run whose name begins with ``prefix``.

        Raises:
            InputError: There is none, or there are several.
        """
        found = [run for run in self.runs() if prefix and run.run_id.startswith(prefix)]
        if len(found) != 1:
            many = ", ".join(run.run_id for run in found) or "none"
            raise InputError(
                f"{prefix or 'an empty name'} names {len(found)} runs in {self.outputs} ({many}); name one"
            )
        return found[0]

    def remember_experiment(self, name: str, members: Mapping[str, list[str]]) -> None:
        """Note which runs, and which shards of each, an experiment asked for."""
        folder = self.outputs / "experiments"
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{name}.json", json.dumps(members, indent=1).encode())

    def experiment(self, name: str) -> dict[str, list[str]]:
        """Run → shards of an experiment.

        Raises:
            InputError: It was never started here.
        """
        path = self.outputs / "experiments" / f"{name}.json"
        if not path.exists():
            known = sorted(p.stem for p in path.parent.glob("*.json"))
            raise InputError(f"no experiment {name} in {self.outputs}; it has {', '.join(known) or 'none'}")
        members = _mapping(path)
        if not members or not all(_RUN.fullmatch(k) and isinstance(v, list) for k, v in members.items()):
            raise InputError(f"{path} is damaged; running the experiment again makes it anew")
        return members
