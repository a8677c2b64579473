"""Runs handed to a launcher of others: what it says of them does not count, what lies in the store does."""

from __future__ import annotations

import contextlib
import importlib
import logging
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gensweep.preemption import Preempted
from gensweep.sweep.plan import Job
from gensweep.sweep.task import RunFailed
from gensweep.table.store import WORKING

LOOK = 2.0  # seconds between two looks at what the runs say
NOT_ENDED = ("planned", "interrupted", "preempted", *WORKING)


def hand_over(launcher: Any, jobs: Sequence[Job], say: Callable[[Job, int], None]) -> None:
    """Have every job done by the launcher, whatever becomes of one of them.

    Args:
        launcher: Of Hydra, set up.
        jobs: What is not done yet.
        say: Takes a job the moment it has ended, and how many have.
    """
    name = type(launcher).__module__.split(".")[1]
    with watched(jobs, say), every_result(name):
        try:
            returned = launcher.launch([job.overrides for job in jobs], 0)
        except (KeyboardInterrupt, Preempted):
            if name.startswith("hydra_submitit"):
                print("submitit's jobs go on; scancel ends those of Slurm", file=sys.stderr)
            raise
        except Exception as error:  # its worker died, or it could not start any
            returned = [error]
    lost = sorted({_first_line(e) for e in map(_trouble, returned) if e})
    for line in lost:
        print(f"{name}: {line}", file=sys.stderr)
    folder = getattr(launcher, "params", {}).get("submitit_folder")
    if folder and not lost:
        shutil.rmtree(Path(folder).parent, ignore_errors=True)
        with contextlib.suppress(OSError):  # another sweep has its own there
            Path(folder).parents[1].rmdir()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


def _trouble(returned: Any) -> Exception | None:
    """What a job raised that no run did: its worker's own trouble."""
    value = getattr(returned, "_return_value", returned)
    return value if isinstance(value, Exception) and not isinstance(value, RunFailed) else None


@contextlib.contextmanager
def every_result(name: str) -> Iterator[None]:
    """Let submitit's launcher wait for all jobs; it leaves at the first lost one, while others still run."""
    if not name.startswith("hydra_submitit"):
        yield
        return
    # A Slurm without accounting is no news at each look.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    kind = importlib.import_module("submitit").Job
    asked = kind.results

    def results(job: Any) -> Any:
        try:
            return asked(job)
        except Exception as error:
            return [error]

    kind.results = results
    try:
        yield
    finally:
        kind.results = asked


@contextlib.contextmanager
def watched(jobs: Sequence[Job], say: Callable[[Job, int], None]) -> Iterator[None]:
    """Say which runs end, from what they say in the store, while their launcher is silent."""
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(jobs, say, over), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(jobs: Sequence[Job], say: Callable[[Job, int], None], over: threading.Event) -> None:
    before = {job.run_id: job.run.state() for job in jobs}
    waiting, last = list(jobs), False
    while waiting and not last:
        last = over.wait(LOOK)
        for job in list(waiting):
            state = job.run.state()
            if state != before[job.run_id] and state["state"] not in NOT_ENDED:
                waiting.remove(job)
                say(job, len(jobs) - len(waiting))
