"""The local pool: runs in processes of their own, so many at a time, each of which ends in the store."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Sequence

from gensweep.preemption import Preempted
from gensweep.sweep.attempt import DISK_FULL
from gensweep.sweep.group import Group, settled
from gensweep.sweep.plan import Job, point
from gensweep.table.store import WORKING

PARTING = 25.0  # seconds for checkpoints, less than the 30 that Slurm leaves between SIGTERM and SIGKILL


def pool(overrides: Sequence[tuple[str, ...]], width: int, config_dir: str | None = None) -> None:
    """Run command lines, ``width`` at a time, each in fresh processes that have torch imported already.

    Args:
        overrides: One job each.
        width: Runs at a time.
        config_dir: A folder of the user's own yaml files.

    Raises:
        Preempted: This process was asked to end; the runs under way have had time for a checkpoint.
    """
    waiting = list(reversed(overrides))
    running: list[Group] = []
    total, started = len(waiting), time.monotonic()
    with parting(running):
        while waiting or running:
            while waiting and len(running) < width:
                running.append(Group(point(waiting.pop(), config_dir)))
            for group in settled(running):
                running.remove(group)
                note_end(group)
                report(group.job, total - len(waiting) - len(running), total, started)
                if group.code == DISK_FULL and waiting:
                    print(
                        f"the disk is full: {len(waiting)} runs are not started; make room, then the same "
                        "command goes on",
                        file=sys.stderr,
                    )
                    waiting.clear()


def made(group: Group) -> int:
    """Wait for the processes of one run, and leave none of them behind; returns the exit code."""
    running = [group]
    with parting(running):
        while not settled(running):
            pass
    note_end(group)
    return group.exit_code


@contextlib.contextmanager
def parting(running: list[Group]):
    """When this process is asked to end, so are its runs, with time for a checkpoint; none is left behind."""
    try:
        yield
    except Preempted as end:
        print(f"{end}; {len(running)} under way have {PARTING:.0f} s for a checkpoint", file=sys.stderr)
        for group in running:
            group.ask_to_end(PARTING)
        while running:
            for group in settled(running):
                running.remove(group)
                note_end(group)
        raise
    finally:  # also when asked a second time
        for group in running:
            group.kill()


def note_end(group: Group) -> None:
    """Say in the store how a run ended whose processes could not say so themselves."""
    end = group.end()
    if end and not group.job.finished():
        with contextlib.suppress(OSError):  # the disk may be what failed
            group.job.run.set_state(end.state, reason=end.reason)


def complaint(job: Job) -> str:
    """How a run ended, with its log."""
    state = job.run.state()
    if state["state"] in WORKING:
        return f"is under way in process {state['pid']} on {state['host']}; try again later"
    if lost := " and ".join(job.lacking()):
        return f"was not started: it needs run {lost}, which is not trained"
    if state["state"] == "planned":
        return "was not started"
    return f"{state['state']}: {state.get('reason') or 'it did not end'}; log: {job.run.folder / 'log.txt'}"


def report(job: Job, ended: int, total: int, started: float) -> None:
    """One line per run that ended, the moment it did."""
    left = (time.monotonic() - started) / ended * (total - ended)
    word = "done" if job.finished() and not job.run.diverged() else complaint(job)
    swept = " ".join(o for o in job.overrides if not o.startswith(("experiment=", "+scale=")))
    print(f"[{ended}/{total}, {left:.0f} s left] {job.run_id} {word}  {swept}", flush=True)
