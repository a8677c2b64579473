"""Many runs: each in processes of its own, so that none takes another with it."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from gensweep.place import given
from gensweep.sweep.attempt import BAD_INPUT, BUSY, FAILED, attempt, in_lockstep, leave_together
from gensweep.sweep.engine import LOCAL
from gensweep.sweep.group import Group, settled
from gensweep.sweep.hand_over import hand_over
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.plan import Job, Plan, plan, point
from gensweep.sweep.trusted import is_own
from gensweep.table.store import WORKING

KNOWN = (0, FAILED, BAD_INPUT, BUSY, 128 + signal.SIGINT, 128 + signal.SIGTERM)


def sweep(arguments: tuple[str, ...], launcher: Any, config_dir: str | None = None) -> int:
    """Run every job of a grid that is not done.

    Returns:
        The exit code: 0 all of it is done, 1 a run failed or diverged, 75 one is held elsewhere.
    """
    planned = plan(arguments, True, config_dir)
    here = getattr(launcher, "local", False)
    place = given(planned.jobs[0].config) if here else None
    if place:  # many of this process were started, each with this command
        leave_together(in_lockstep(planned, place, remember, verdict))
    remember(planned)
    todo = [job for job in planned.jobs if not job.finished()]
    print(listing(planned, len(todo)), flush=True)
    if todo and here:
        launcher.launch([job.overrides for job in todo], 0)
    elif todo:
        started = time.monotonic()
        hand_over(launcher, todo, lambda job, n: _report(job, _outcome(job), n, len(todo), started))
    return verdict(planned)


def try_out(jobs: Sequence[Job], launcher: str = LOCAL) -> None:
    """Look for the GPUs, and make and try each network of the user's own once, before anything is written.

    Args:
        jobs: What is to be run.
        launcher: Who starts them; the GPUs of another than the local pool are elsewhere.

    Raises:
        InputError: What is wrong with it.
    """
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


def start(job: Job) -> int:
    """Make one run, here or in the processes that its hardware asks for; returns the exit code."""
    place = given(job.config)
    if place:
        leave_together(attempt(job, place))
    if job.config["hardware"]["processes"] == 1:
        return attempt(job)
    code = made(Group(job, on_terminal=True))
    if code not in (0, BAD_INPUT, BUSY):
        print(f"{job.run_id} {complaint(job)}", file=sys.stderr)
    return code


def made(group: Group) -> int:
    """Wait for the processes of one run, and leave none of them behind; returns the exit code."""
    try:
        while not settled([group]):
            pass
    finally:
        group.kill()
    _note_death(group.job, group)
    return group.code if group.code in KNOWN else FAILED


def pool(overrides: Sequence[tuple[str, ...]], width: int, config_dir: str | None = None) -> None:
    """Run command lines, ``width`` at a time, each in fresh processes that have torch imported already.

    Args:
        overrides: One job each.
        width: Runs at a time.
        config_dir: A folder of the user's own yaml files.
    """
    waiting = list(reversed(overrides))
    running: list[Group] = []
    total, started = len(waiting), time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < width:
                running.append(Group(point(waiting.pop(), config_dir)))
            for group in settled(running):
                running.remove(group)
                _note_death(group.job, group)
                _report(group.job, group.code, total - len(waiting) - len(running), total, started)
    finally:
        for group in running:
            group.kill()


def _note_death(job: Job, group: Group) -> None:
    """Say in the store how a process ended that could not say so itself."""
    if group.code in KNOWN or job.finished():
        return
    how = (
        f"killed by {signal.Signals(-group.code).name}"
        if group.code < 0
        else "lost with the one that made it"
    )
    job.run.set_state("failed", reason=f"{group.who} was {how}" if group.who else how)


def _outcome(job: Job) -> int:
    """The exit code of a run that has ended elsewhere."""
    return 0 if job.finished() and not job.run.diverged() else FAILED


def _report(job: Job, code: int, ended: int, total: int, started: float) -> None:
    """One line per run that ended, the moment it did."""
    left = (time.monotonic() - started) / ended * (total - ended)
    word = "done" if code == 0 else complaint(job)
    swept = " ".join(o for o in job.overrides if not o.startswith(("experiment=", "+scale=")))
    print(f"[{ended}/{total}, {left:.0f} s left] {job.run_id} {word}  {swept}", flush=True)
