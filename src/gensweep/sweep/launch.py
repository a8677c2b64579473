"""Many runs: each in processes of its own, so that none takes another with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from gensweep.place import given
from gensweep.sweep.attempt import BAD_INPUT, BUSY, DISK_FULL, FAILED, attempt, in_lockstep, leave_together
from gensweep.sweep.engine import LOCAL
from gensweep.sweep.extras import check_installed
from gensweep.sweep.group import Group
from gensweep.sweep.hand_over import hand_over
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.order import ordered
from gensweep.sweep.plan import Job, Plan, plan
from gensweep.sweep.pool import complaint, made, report
from gensweep.sweep.trusted import is_own
from gensweep.table.store import WORKING


def sweep(arguments: tuple[str, ...], launcher: Any, config_dir: str | None = None) -> int:
    """Run every job of a grid that is not done.

    Returns:
        The exit code: 0 all of it is done, 1 a run failed or diverged, 75 one is held elsewhere or preempted.

    Raises:
        Preempted: This process was asked to end; the runs under way have had time for a checkpoint.
    """
    planned = plan(arguments, True, config_dir)
    here = getattr(launcher, "local", False)
    place = given(planned.jobs[0].config) if here else None
    if place:  # many of this process were started, each with this command
        leave_together(in_lockstep(planned, place, remember, verdict))
    remember(planned)
    todo = [job for job in planned.jobs if not job.finished()]
    print(listing(planned, len({job.run_id for job in todo})), flush=True)
    while ready := next_ones(todo):
        todo = [job for job in todo if job not in ready]
        jobs = ordered(ready, planned.jobs)
        if here:
            launcher.launch([job.overrides for job in jobs], 0)
        else:
            hand_over(launcher, jobs, reporter(len(jobs)))
    return verdict(planned)


def next_ones(todo: Sequence[Job]) -> list[Job]:
    """The jobs that may begin: what they need is trained, and no other of the same run goes before."""
    ready: dict[str, Job] = {}
    for job in todo:
        if not job.lacking():
            ready.setdefault(job.run_id, job)
    return list(ready.values())


def reporter(total: int) -> Callable[[Job, int], None]:
    """Says how each of so many runs ended, from now on."""
    started = time.monotonic()
    return lambda job, n: report(job, n, total, started)


def try_out(jobs: Sequence[Job], launcher: str = LOCAL) -> None:
    """Look for the GPUs, and make and try each network of the user's own once, before anything is written.

    Args:
        jobs: What is to be run.
        launcher: Who starts them; the GPUs of another than the local pool are elsewhere.

    Raises:
        InputError: What is wrong with it.
    """
    check_installed(jobs[0].config)
    hardware = jobs[0].config["hardware"]
    here = launcher == LOCAL and given(jobs[0].config) is None
    if here and hardware["accelerator"] != "cpu":
        from gensweep.ranks import device

        device(hardware["accelerator"], hardware["processes"] - 1)
    todo = [job.config for job in jobs if is_own(job.config["model"]) and not job.finished()]
    if todo:
        from gensweep.parts import trial

        parts = ("model", "data", "precision", "reparametrise", "reestimate_batch_norm")
        for config in {fingerprint([config[key] for key in parts]): config for config in todo}.values():
            trial(config)


def listing(planned: Plan, todo: int) -> str:
    """One line on what there is to do."""
    twice = f", {planned.duplicates} named twice" if planned.duplicates else ""
    twice += " in other hardware, which names no run: the first is made" if planned.elsewhere else ""
    total = len({job.run_id for job in planned.jobs})
    return f"{total} runs: {total - todo} done, {todo} to do{twice}"


def remember(planned: Plan) -> None:
    """Note the members of an experiment, so that its table can be collected later."""
    if planned.experiment:
        members: dict[str, list[str]] = {}
        for job in planned.jobs:
            members[job.run_id] = sorted({*members.get(job.run_id, ()), *job.shards.values()})
        planned.store.remember_experiment(planned.experiment, members)


def verdict(planned: Plan) -> int:
    """Say what is missing and why, from what lies in the store."""
    runs = {job.run_id: job for job in planned.jobs}
    runs |= {
        job.run_id: job for job in planned.jobs if not job.finished()
    }  # of several jobs of a run the open one
    unfinished = [job for job in runs.values() if not job.finished()]
    states = {job.run_id: job.run.state()["state"] for job in unfinished}
    held = [job for job in unfinished if states[job.run_id] in WORKING]
    preempted = [job for job in unfinished if states[job.run_id] == "preempted"]
    waiting = [job for job in unfinished if job.lacking() and job not in (*held, *preempted)]
    failed = [job for job in unfinished if job not in (*held, *preempted, *waiting)]
    diverged = [job for job in runs.values() if job.run.diverged()]
    for job in (*held, *preempted, *waiting, *failed, *diverged):
        print(f"{job.run_id} {complaint(job)}", file=sys.stderr)
    done = len(runs) - len(unfinished) - len(diverged)
    later = f", {len(held)} under way in another process" if held else ""
    later += f", {len(preempted)} preempted" if preempted else ""
    later += f", {len(waiting)} waiting for others" if waiting else ""
    print(f"{done} done, {len(diverged)} diverged, {len(failed)} failed{later}", flush=True)
    if failed or diverged:
        return FAILED
    return BUSY if held or preempted or waiting else 0


def start(job: Job) -> int:
    """Make one run, here or in the processes that its hardware asks for; returns the exit code."""
    place = given(job.config)
    if place:
        leave_together(attempt(job, place))
    hardware = job.config["hardware"]
    if hardware["processes"] == 1 and hardware["time_limit"] is None:
        code = attempt(job)
        return FAILED if code == DISK_FULL else code
    code = made(Group(job, on_terminal=True))
    if code not in (0, BAD_INPUT, BUSY):
        print(f"{job.run_id} {complaint(job)}", file=sys.stderr)
    return code
