"""One run in this process: every way to fail ends in the store and in an exit code."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import NoReturn

from gensweep.errors import Busy, InputError
from gensweep.place import ALONE, Place
from gensweep.preemption import Preempted, listen_to_parent
from gensweep.sweep.ends import by_error
from gensweep.sweep.orphans import die_with_maker, die_with_parent
from gensweep.sweep.plan import Job, Plan
from gensweep.table.atomic import full, is_full
from gensweep.table.store import WORKING

FAILED, BAD_INPUT, BUSY = 1, 2, 75
DISK_FULL = 74  # of a child to its parent, which starts no more
ENDED = ("failed", "oom", "timeout", "preempted")


def attempt(job: Job, place: Place = ALONE) -> int:
    """Run it here, with whatever others share it.

    Args:
        job: What to run.
        place: Which of how many processes this one is.

    Returns:
        The exit code.
    """
    from gensweep.ranks import joined

    try:
        with joined(place, job.config["hardware"]["accelerator"]):
            return tried(job)
    except InputError as error:
        if place.rank == 0:
            print(f"gensweep: {error}", file=sys.__stderr__)
            if job.run.state()["state"] in WORKING:  # it had begun
                job.run.set_state("failed", reason=str(error))
        return BAD_INPUT
    except Preempted as end:
        if place.rank == 0 and multiprocessing.parent_process() is None:
            print(f"{job.run_id} {end}", file=sys.__stderr__)
        return 128 + end.number
    except Exception as error:
        return failed(job, error, place)


def tried(job: Job) -> int:
    """Run it among those who have met; what goes wrong beyond that is the caller's."""
    from gensweep.run import run

    try:
        return 0 if run(job.config) == "done" else FAILED
    except Busy as error:
        print(error, file=sys.stderr)
        return BUSY


def failed(job: Job, error: Exception, place: Place) -> int:
    """Keep what went wrong; of several processes the first has the reason, the others only lost it."""
    who = f"process {place.rank + 1} of {place.world}: " if place.world > 1 else ""
    log = job.run.folder / "log.txt"
    nameless = is_full(error) and getattr(error, "filename", None) is None
    end = by_error(full(log, 1) if nameless else error)  # a line that was printed
    reason = f"{who}{end.reason}"
    if multiprocessing.parent_process() is None or is_full(error):  # else that one says it, from the store
        print(f"{job.run_id} {end.state}: {reason}; log: {log}", file=sys.__stderr__)
    with contextlib.suppress(OSError):  # the disk may be what failed
        if place.world == 1 or job.run.state()["state"] not in ENDED:
            job.run.set_state(end.state, reason=reason)
        with open(log, "a") as lines:
            traceback.print_exception(error, file=lines)
    return DISK_FULL if is_full(error) and multiprocessing.parent_process() else FAILED


def in_lockstep(
    planned: Plan, place: Place, remember: Callable[[Plan], None], verdict: Callable[[Plan], int]
) -> int:
    """Run job after job together with the other processes that were started with this command.

    Args:
        planned: The grid.
        place: Which of how many processes this one is.
        remember: What rank 0 does before.
        verdict: What it does after.

    Returns:
        The exit code.
    """
    from gensweep.ranks import joined

    with joined(place, planned.jobs[0].config["hardware"]["accelerator"]) as ranks:
        todo = ranks.agreed([job.run_id for job in planned.jobs if not job.finished()])
        if ranks.writes:
            remember(planned)
            print(f"{len(planned.jobs)} runs: {len(todo)} to do, by {place.world} processes", flush=True)
        for job in (job for job in planned.jobs if job.run_id in todo):
            try:
                tried(job)
            except Preempted as end:
                return 128 + end.number
            except Exception as error:  # the others are lost for this one, and it for them
                return failed(job, error, place)
        return ranks.agreed(verdict(planned) if ranks.writes else 0)


def leave_together(code: int) -> NoReturn:
    """End at once: threads of a group that has parted can abort a process that takes its time."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def child(job: Job, place: Place, on_terminal: bool) -> None:
    """The life of a process: it writes to the run's log, and dies with its parent."""
    die_with_maker()
    die_with_parent()
    listen_to_parent()
    with contextlib.ExitStack() as stack:
        try:
            job.run.folder.mkdir(parents=True, exist_ok=True)
            if place.rank or not on_terminal:
                log = stack.enter_context(open(job.run.folder / "log.txt", "a", buffering=1))
                stack.enter_context(redirect_stdout(log))
                stack.enter_context(redirect_stderr(log))
        except OSError as error:
            leave_together(failed(job, error, place))
        leave_together(attempt(job, place))
