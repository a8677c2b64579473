"""Why a run is not finished, in words. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from gensweep.sweep.identity import flatten, science
from gensweep.sweep.plan import Job
from gensweep.table.history import asked
from gensweep.table.store import TRAINED, WORKING, Store

MOST = 2000  # runs that a new one is held against
CHECKPOINT = "last.ckpt"
EPOCH = re.compile(r"epoch (\d+)/(\d+)")
Setting = tuple[str, str]


class Neighbours:
    """The runs of a store, to be asked how a new one differs from them.

    Args:
        store: Where they are.
    """

    def __init__(self, store: Store) -> None:
        stored = {run.run_id: asked(run) for run in store.runs()[:MOST]}
        self.runs = {name: _settings(config) for name, config in stored.items() if config}

    def why(self, job: Job) -> str:
        """What is new about a run that never began."""
        mine = _settings(science(job.config))
        others = {name: theirs for name, theirs in self.runs.items() if name != job.run_id}
        if not others:
            return "nothing like it is stored here"
        nearest = min(others, key=lambda name: len(mine - others[name]))
        new = sorted(mine - others[nearest])
        unseen = [s for s in new if not any(s in theirs for theirs in others.values())]
        if unseen and len(new) <= 3:
            return f"{_words(unseen)} was not in the table"
        if len(new) <= 3:
            return f"differs from {nearest} only in {_words(new)}"
        return f"differs from every stored run in {len(new)} settings or more"


def _settings(config: Mapping[str, Any]) -> frozenset[Setting]:
    return frozenset(
        (key, json.dumps(value)) for key, value in flatten(config).items() if key[-8:] != "_target_"
    )


def _words(settings: Sequence[Setting]) -> str:
    return " ".join(f"{key}={value.strip(chr(34))}" for key, value in settings)


def state_of(job: Job, finished: bool) -> str:
    """One word for a plan: a run that ended, but lacks what is asked for now, is ``incomplete``."""
    if finished:
        return "diverged" if job.run.diverged() else "done"
    state = job.run.state()["state"]
    return "incomplete" if state in ("done", "diverged", "trained") else state


def why(job: Job, neighbours: Neighbours) -> str:
    """Why a run that is not finished has something to do, and what that is.

    Args:
        job: The run.
        neighbours: The store's other runs.
    """
    run, state = job.run, job.run.state()
    if state["state"] in WORKING:
        return f"under way in process {state['pid']} on {state['host']}"
    if run.trained():
        return "needs only " + ", ".join(f"{name} ({_lacking(job, name)})" for name in lacking(job))
    lost = [name for name in (*TRAINED, "kept.safetensors") if name in run.manifest() and not run.has(name)]
    if lost:
        return f"{lost[0]} is damaged or missing: it is trained again"
    if state["state"] == "planned" and not (run.folder / CHECKPOINT).exists():
        return f"new: {neighbours.why(job)}"
    reason = f" ({state['reason']})" if state.get("reason") else ""
    return f"{_beginning(job)}{reason}"


def _beginning(job: Job) -> str:
    """Where its training will begin."""
    if not (job.run.folder / CHECKPOINT).exists():
        return "begins anew"
    done = progress(job)
    return f"goes on after epoch {done[0]}/{done[1]}" if done else "goes on from its checkpoint"


def _lacking(job: Job, name: str) -> str:
    manifest = job.run.manifest()
    if f"rows/{job.shards[name]}.parquet" in manifest:
        return "its rows are damaged or missing"
    return "other settings" if any(n.startswith(f"rows/{name}-") for n in manifest) else "never measured"


def lacking(job: Job) -> list[str]:
    """The measures whose rows are not there."""
    return [name for name, shard in job.shards.items() if not job.run.has(f"rows/{shard}.parquet")]


def progress(job: Job) -> tuple[int, int] | None:
    """Epochs done and epochs at most of a training that goes on; None where it has to begin."""
    found = EPOCH.match(str(job.run.state().get("progress", "")))
    there = (job.run.folder / CHECKPOINT).exists()
    return (int(found[1]), int(found[2])) if found and there else None
