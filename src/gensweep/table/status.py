"""What every run is doing, line by line, once or until nothing is under way. No torch."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gensweep.errors import InputError
from gensweep.sweep.identity import flatten
from gensweep.sweep.spoken import span
from gensweep.table.history import ASKED, Past, asked, history
from gensweep.table.plain import printable
from gensweep.table.store import WORKING, Run, Store

AGAIN = "the same command goes on"
ADVICE = {
    "interrupted": AGAIN,
    "preempted": AGAIN,
    "failed": "its log says more: {log}",
    "oom": "a smaller batch_size or hardware.jobs needs less memory; its log: {log}",
    "timeout": f"raise hardware.time_limit, and {AGAIN}",
    "diverged": "it has its row; a smaller optim.lr is another run",
}
WELL = ("planned", "trained", "done", *WORKING)
# From the top to the prompt: what needs attention stands last.
ORDER = (
    "done",
    "planned",
    "trained",
    *WORKING,
    "preempted",
    "interrupted",
    "timeout",
    "oom",
    "failed",
    "diverged",
)


@dataclass(frozen=True)
class Line:
    """One run, under the names of ``status --json``, which never change."""

    run_id: str
    state: str
    progress: str
    reason: str
    swept: dict[str, Any]
    host: str | None
    pid: int | None
    time: float | None
    log: str
    advice: str


def look(outputs: Path) -> list[Line]:
    """All runs in a folder, by name."""
    runs = Store(outputs).runs()
    configs = {run.run_id: flatten(asked(run)) for run in runs}
    keys = differing(list(configs.values()))
    return [_line(run, {k: v for k, v in configs[run.run_id].items() if k in keys}) for run in runs]


def differing(configs: Sequence[Mapping[str, Any]]) -> set[str]:
    """The settings that are not the same in all configs, an empty one apart.

    >>> sorted(differing([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {}]))
    ['b']
    """
    known = [config for config in configs if config]
    keys = {key for config in known for key in config if not key.endswith("_target_")}
    return {k for k in keys if len({json.dumps(c.get(k)) for c in known}) > 1}


def _line(run: Run, swept: dict[str, Any]) -> Line:
    state = run.state()
    log, ended = str(run.folder / "log.txt"), state["state"] not in WORKING
    return Line(
        run_id=run.run_id,
        state=state["state"],
        progress=str(state.get("progress") or ""),
        reason=str(state.get("reason") or "") if ended else "",
        swept=swept,
        host=state.get("host"),
        pid=state.get("pid"),
        time=state.get("time"),
        log=log,
        advice=ADVICE.get(state["state"], "").format(log=log),
    )


def show(outputs: Path, failed: bool = False, watch: bool = False, as_json: bool = False) -> int:
    """Print it; returns the exit code.

    Args:
        outputs: The folder of runs.
        failed: Only runs that did not end well.
        watch: Again and again, until nothing is under way.
        as_json: One JSON list.

    Raises:
        InputError: JSON is to be watched.
    """
    if as_json and watch:
        raise InputError("status: --json is one list, and --watch never ends with one; leave out one of both")
    if watch:
        from gensweep.table.watch import follow

        return follow(outputs, failed)
    found = look(outputs)
    listed = wanted(found, failed)
    if as_json:
        print(json.dumps([asdict(line) for line in listed], allow_nan=False))
    else:
        print(*table(listed), summary(found, outputs), sep="\n")
    return 0


def wanted(found: Sequence[Line], failed: bool) -> list[Line]:
    """All of them, or those that did not end well."""
    return [line for line in found if not failed or line.state not in WELL]


def table(found: Sequence[Line], ages: bool = True) -> list[str]:
    """One line for each run, in columns; what ended well first, what wants attention last."""
    cells = [cells_of(line, ages) for line in sorted(found, key=_rank)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    shown = [i for i, width in enumerate(widths) if width]
    return ["  ".join(f"{row[i]:<{widths[i]}}" for i in shown).rstrip() for row in cells]


def _rank(line: Line) -> tuple[int, str]:
    place = ORDER.index(line.state) if line.state in ORDER else len(ORDER)
    return place, json.dumps(line.swept)


def cells_of(line: Line, ages: bool = True) -> list[str]:
    """What a person reads of one run."""
    swept = " ".join(f"{key}={value}" for key, value in line.swept.items())
    age = f"{span(max(0, round(time.time() - line.time)))} ago" if line.time and ages else ""
    progress = "" if line.state == "done" else line.progress
    known = AGAIN in line.reason or "smaller network" in line.reason
    why = "; ".join(part for part in (line.reason, "" if known else line.advice) if part)
    return [printable(text) for text in (line.run_id, line.state, progress, swept, age, line.host or "", why)]


def summary(found: Sequence[Line], outputs: Path) -> str:
    """How many runs are in which state, and when those under way will end."""
    if not found:
        return f"no runs in {outputs}"
    left = remaining(found, outputs)
    return counts(found) + (f"; those under way end in about {span(left)}" if left is not None else "")


def counts(found: Sequence[Line]) -> str:
    """How many runs are in which state."""
    states = [line.state for line in found]
    return ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))


def remaining(found: Sequence[Line], outputs: Path) -> float | None:
    """Seconds until the last of those under way ends; None where that is not known of any."""
    working = [line for line in found if line.state in WORKING]
    if not working:
        return None
    past, store = history(Store(outputs)), Store(outputs)
    known = [
        seconds for line in working if (seconds := _left(line, store.run(line.run_id), past)) is not None
    ]
    return max(known, default=None)


def _left(line: Line, run: Run, past: Sequence[Past]) -> float | None:
    from gensweep.sweep.costs import kinds

    mine = kinds(asked(run))
    timed = [p for p in past if p.outcome["train_seconds"] is not None]
    like = [p for p in timed if mine and kinds(p.science) == mine]
    share = _untrained(line)
    if not like:
        return _by_itself(run, share)
    there = {name.removeprefix("rows/").removesuffix(".parquet") for name in run.manifest()}
    train = statistics.median(p.outcome["train_seconds"] for p in like)
    measures = [sum(s for name, s in p.shards.items() if name not in there) for p in like]
    return share * train + statistics.median(measures)


def _untrained(line: Line) -> float:
    """The share of its training that is left."""
    if line.state != "training":
        return 0.0
    done, _, total = line.progress.removeprefix("epoch ").partition(",")[0].partition("/")
    return 1 - int(done) / int(total) if done.isdigit() and total.isdigit() else 1.0


def _by_itself(run: Run, share: float) -> float | None:
    """By the time that the training has taken so far; measures are not in it."""
    if not 0 < share < 1 or len(list((run.folder / "log").glob("version_*"))) != 1:
        return None
    return (time.time() - (run.folder / ASKED).stat().st_mtime) * share / (1 - share)
