"""Many runs: each in a process of its own, so that none takes another with it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import wait
from typing import Any

from gensweep.errors import Busy
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.plan import Job, Plan, plan, point
from gensweep.sweep.trusted import is_own
from gensweep.table.store import WORKING

FAILED, BUSY = 1, 75


def sweep(arguments: tuple[str, ...], launcher: Any, config_dir: str | None = None) -> int:
    """Run every job of a grid that is not done.

    Returns:
        The exit code: 0 all of it is done, 1 a run failed or diverged, 75 one is held elsewhere.
    """
    planned = plan(arguments, True, config_dir)
    remember(planned)
    todo = [job for job in planned.jobs if not job.finished()]
    print(listing(planned, len(todo)), flush=True)
    if todo:
        launcher.launch([job.overrides for job in todo], 0)
    return verdict(planned)


def try_networks(jobs: Sequence[Job]) -> None:
    """Make and try each network of the user's own once, before anything is written.

    Raises:
        InputError: What is wrong with it.
    """
    todo = [job.config for job in jobs if is_own(job.config["model"]) and not job.finished()]
    if todo:
        from gensweep.run import trial

        parts = ("model", "data", "precision", "reparametrise", "reestimate_batch_norm")
        for config in {fingerprint([config[key] for key in parts]): config for config in todo}.values():
            trial(config)


def listing(planned: Plan, todo: int) -> str:
    """One line on what there is to do."""
    twice = f", {planned.duplicates} named twice" if planned.duplicates else ""
    return f"{len(planned.jobs)} runs: {len(planned.jobs) - todo} done, {todo} to do{twice}"


def remember(planned: Plan) -> None:
    """Note the members of an experiment, so that its table can be collected later."""
    if planned.experiment:
        members = {job.run_id: sorted(job.shards.values()) for job in planned.jobs}
        planned.store.remember_experiment(planned.experiment, members)


def verdict(planned: Plan) -> int:
    """Say what is missing and why, from what lies in the store."""
    unfinished = [job for job in planned.jobs if not job.finished()]
    held = [job for job in unfinished if job.run.state()["state"] in WORKING]
    failed = [job for job in unfinished if job not in held]
    diverged = [job for job in planned.jobs if job.run.diverged()]
    for job in (*held, *failed, *diverged):
        print(f"{job.run_id} {complaint(job)}", file=sys.stderr)
    done = len(planned.jobs) - len(unfinished) - len(diverged)
    elsewhere = f", {len(held)} under way in another process" if held else ""
    print(f"{done} done, {len(diverged)} diverged, {len(failed)} failed{elsewhere}", flush=True)
    if failed or diverged:
        return FAILED
    return BUSY if held else 0


def complaint(job: Job) -> str:
    """How a run ended, with its log."""
    state = job.run.state()
    if state["state"] in WORKING:
        return f"is under way in process {state['pid']} on {state['host']}; try again later"
    return f"{state['state']}: {state.get('reason') or 'it did not end'}; log: {job.run.folder / 'log.txt'}"


def pool(overrides: Sequence[tuple[str, ...]], width: int, config_dir: str | None = None) -> None:
    """Run command lines, ``width`` at a time, each in a fresh process that has torch imported already.

    Args:
        overrides: One job each.
        width: Processes at a time.
        config_dir: A folder of the user's own yaml files.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gensweep.run", "sklearn.datasets"])
    waiting = list(reversed(overrides))
    running: dict[Any, tuple[Any, Job]] = {}
    total, started = len(waiting), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < width:
                job = point(waiting.pop(), config_dir)
                process = context.Process(target=_child, args=(job,))
                process.start()
                running[process.sentinel] = (process, job)
            for sentinel in wait(list(running)):
                process, job = running.pop(sentinel)
                process.join()
                _report(job, process.exitcode, total - len(waiting) - len(running), total, started)
    finally:
        for process, _ in running.values():
            process.terminate()


def _report(job: Job, code: int | None, ended: int, total: int, started: float) -> None:
    """One line per run that ended, the moment it did."""
    left = (time.monotonic() - started) / ended * (total - ended)
    if code and code < 0 and not job.finished():
        job.run.set_state("failed", reason=f"killed by {signal.Signals(-code).name}")
    word = "done" if code == 0 else complaint(job)
    swept = " ".join(o for o in job.overrides if not o.startswith(("experiment=", "+scale=")))
    print(f"[{ended}/{total}, {left:.0f} s left] {job.run_id} {word}  {swept}", flush=True)


def _child(job: Job) -> None:
    """The life of one process: it writes to the run's log, and dies with its parent."""
    _die_with_parent()
    job.run.folder.mkdir(parents=True, exist_ok=True)
    with (
        open(job.run.folder / "log.txt", "a", buffering=1) as log,
        redirect_stdout(log),
        redirect_stderr(log),
    ):
        code = attempt(job)
    os._exit(code)


def attempt(job: Job) -> int:
    """Run it here; every way to fail ends in the store and in an exit code."""
    from gensweep.run import run

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        return 0 if run(job.config) == "done" else FAILED
    except Busy as error:
        print(error, file=sys.stderr)
        return BUSY
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        print(f"{job.run_id} failed: {reason}; log: {job.run.folder / 'log.txt'}", file=sys.__stderr__)
        with contextlib.suppress(OSError):  # the disk may be what failed
            job.run.set_state("failed", reason=reason)
            with open(job.run.folder / "log.txt", "a") as log:
                traceback.print_exc(file=log)
        return FAILED


def _leave(number: int, frame: Any) -> None:
    """End at once; Lightning would turn a termination into success. The last checkpoint is on disk."""
    sys.exit(128 + number)


def _die_with_parent() -> None:
    """End this process when the one that asked for it is gone; a fork server in between outlives that one."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
