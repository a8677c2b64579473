"""The processes of one run: started together, and when one dies none of the others is left behind."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import Any

from gensweep.place import Place, places
from gensweep.sweep.attempt import BAD_INPUT, BUSY, DISK_FULL, FAILED, child
from gensweep.sweep.clock import Clock
from gensweep.sweep.ends import End, by_death, starvations
from gensweep.sweep.plan import Job

TRIES = 3  # to start a process
GRACE = 3.0  # seconds in which the others may end by themselves, saying why
INTERRUPTED, PREEMPTED = 128 + signal.SIGINT, 128 + signal.SIGTERM
KNOWN = (0, FAILED, BAD_INPUT, BUSY, DISK_FULL, INTERRUPTED, PREEMPTED)


def prepared() -> Any:
    """Where processes come from that have torch imported already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gensweep.sweep.nursery", "gensweep.run", "sklearn.datasets"])
    return context


def begin(process: Any) -> None:
    """Start it; where the server was killed in that moment, from a new one."""
    for left in reversed(range(TRIES)):
        try:
            return process.start()
        except (OSError, EOFError):
            if not left:
                raise


@contextlib.contextmanager
def unasked() -> Iterator[None]:
    """Processes that are started here do not hear what ends a job, until one of them listens.

    Slurm sends its signals to every process of a job, a terminal its Ctrl+C, and a fork server that one of
    them ended would leave nobody to say how its children ended.
    """
    resource_tracker.ensure_running()  # when it starts one it lets SIGTERM through again
    asking = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, asking)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Group:
    """One process, or several that share the run, each with torch imported already.

    Args:
        job: What they run.
        on_terminal: Whether the first one speaks to the terminal, not to the run's log.
        place: Among processes that others start; None for all of them here.
    """

    def __init__(self, job: Job, on_terminal: bool = False, place: Place | None = None) -> None:
        context = prepared()
        self.job, self.code, self.first = job, 0, 0
        self.killed_at = float("inf")
        self.asked, self.late = False, ""
        self.clock = Clock(job.run, job.config["hardware"]["time_limit"])
        self.starvations = starvations()
        self.places = [place] if place else places(job.config["hardware"]["processes"])
        self.processes = [
            context.Process(target=child, args=(job, place, on_terminal)) for place in self.places
        ]
        with unasked():
            for process in self.processes:
                begin(process)

    def end(self) -> End | None:
        """How they ended, where they could not say it themselves."""
        if self.late:
            return End("timeout", self.late)
        if self.code in KNOWN:
            return None
        if self.asked:
            return End("preempted", "did not end in the time it was given; the same command goes on")
        state, how = by_death(self.code, starvations() > self.starvations)
        place = self.places[self.first]
        return End(state, f"process {place.rank + 1} of {place.world} was {how}" if place.world > 1 else how)

    @property
    def exit_code(self) -> int:
        """What their end is worth as an exit code."""
        if self.asked and not self.late and self.code:
            return PREEMPTED
        return self.code if self.code in KNOWN and self.code != DISK_FULL and not self.late else FAILED

    def ended(self) -> bool:
        """Whether all have ended; after the first failure the others get a moment, then they are killed."""
        codes = [process.exitcode for process in self.processes]
        if not self.code and any(codes):
            self.first, self.code = next((i, code) for i, code in enumerate(codes) if code)
            self.killed_at = min(self.killed_at, time.monotonic() + GRACE)
        if not self.late and not any(codes):
            self.late = self.clock.late()
            if self.late:
                self._terminate(GRACE)
        if time.monotonic() > self.killed_at:
            self.kill()
        return None not in codes

    def ask_to_end(self, seconds: float) -> None:
        """Let them write a checkpoint and end; those that have not by then are killed."""
        self.asked = True
        self._terminate(seconds)

    def _terminate(self, seconds: float) -> None:
        self.killed_at = min(self.killed_at, time.monotonic() + seconds)
        for process in self.processes:
            process.terminate()

    def kill(self) -> None:
        """End what is still running; what was committed stays."""
        for process in self.processes:
            process.kill()


def settled(groups: Sequence[Group]) -> list[Group]:
    """Those that have ended, after waiting for some process to end, a second at most."""
    running = [p.sentinel for group in groups for p in group.processes if p.exitcode is None]
    hurry = any(group.killed_at < float("inf") for group in groups)
    wait(running, timeout=0.2 if hurry else 1.0)
    return [group for group in groups if group.ended()]
