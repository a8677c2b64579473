"""The processes of one run: started together, and when one dies none of the others is left behind."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

from gensweep.place import places
from gensweep.sweep.attempt import child
from gensweep.sweep.plan import Job

GRACE = 3.0  # seconds in which the others may end by themselves, saying why


def prepared() -> Any:
    """Where processes come from that have torch imported already."""
    # Python would look in the current folder first, which may be somebody's results with a yaml.py in it.
    os.environ["PYTHONSAFEPATH"] = "1"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gensweep.run", "sklearn.datasets"])
    return context


class Group:
    """One process, or several that share the run, each with torch imported already.

    Args:
        job: What they run.
        on_terminal: Whether the first one speaks to the terminal, not to the run's log.
    """

    def __init__(self, job: Job, on_terminal: bool = False) -> None:
        context = prepared()
        self.job, self.code, self.first = job, 0, 0
        self.killed_at = float("inf")
        self.processes = [
            context.Process(target=child, args=(job, place, on_terminal))
            for place in places(job.config["hardware"]["processes"])
        ]
        for process in self.processes:
            process.start()

    def ended(self) -> bool:
        """Whether all have ended; after the first failure the others get a moment, then they are killed."""
        codes = [process.exitcode for process in self.processes]
        if not self.code and any(codes):
            self.first, self.code = next((i, code) for i, code in enumerate(codes) if code)
            self.killed_at = time.monotonic() + GRACE
        if time.monotonic() > self.killed_at:
            self.kill()
        return None not in codes

    def kill(self) -> None:
        """End what is still running; what was committed stays."""
        for process in self.processes:
            process.kill()


def settled(groups: Sequence[Group]) -> list[Group]:
    """Those that have ended, after waiting for some process to end."""
    running = [p.sentinel for group in groups for p in group.processes if p.exitcode is None]
    hurry = any(group.killed_at < float("inf") for group in groups)
    wait(running, timeout=0.2 if hurry else None)
    return [group for group in groups if group.ended()]
