"""Before the pool: runs of one small perceptron under many seeds, trained as stacked models. No torch."""

from __future__ import annotations

import math
import os
import signal
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import wait
from typing import Any

from gensweep.preemption import listen_to_parent
from gensweep.sweep.attempt import FAILED, die_with_parent
from gensweep.sweep.group import prepared, unasked
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.plan import Job, point
from gensweep.table.store import TRAINED

# With splits and batches of their own, more networks than this leave the processor's cache between two steps.
OWN_DATA = 8
UNLIKE = (
    "go alone: only perceptrons that differ in their seed alone and have not begun are stacked, without "
    "crops, kept weights, warm starts, bfloat16 or several processes"
)

Stack = list[Job]


def train_stacks(
    overrides: Sequence[tuple[str, ...]], width: int, config_dir: str | None = None
) -> list[tuple[str, ...]]:
    """Train what can be stacked, each stack in a process of its own.

    What a stack that fails or is killed had not committed is left to the pool.

    Args:
        overrides: One job each; ``hardware.stack`` says how many make a stack.
        width: Processes at a time.
        config_dir: A folder of the user's own yaml files.

    Returns:
        The jobs that the pool has yet to train or to measure.
    """
    jobs = [point(o, config_dir) for o in overrides]
    waiting = stacks(jobs)
    alone = len(jobs) - sum(map(len, waiting))
    if alone and jobs[0].config["hardware"]["stack"] > 1:
        print(f"{alone} of {len(jobs)} runs {UNLIKE}", flush=True)
    running: dict[Any, tuple[Any, Stack]] = {}
    total, ended = len(waiting), 0
    try:
        while waiting or running:
            while waiting and len(running) < width:
                stack = waiting.pop(0)
                process = prepared().Process(target=_child, args=(stack,))
                with unasked():
                    process.start()
                running[process.sentinel] = process, stack
            for sentinel in wait(list(running)):
                process, stack = running.pop(sentinel)
                process.join()
                ended += 1
                print(f"[stack {ended}/{total}] {outcome(stack, process.exitcode)}", flush=True)
    finally:
        for process, _ in running.values():
            process.terminate()
    return [job.overrides for job in jobs if not job.finished()]


def stacks(jobs: Sequence[Job]) -> list[Stack]:
    """The jobs that differ in their seed alone, cut into stacks of nearly one size; one alone makes none."""
    alike: dict[str, Stack] = {}
    for job in filter(stackable, jobs):
        name = fingerprint({k: v for k, v in job.config.items() if k != "seed"})
        alike.setdefault(name, []).append(job)
    return [stack for group in alike.values() for stack in cut(group) if len(stack) > 1]


def stackable(job: Job) -> bool:
    """Whether `Stack` can train its network, in one process, and nothing of it is there yet."""
    config = job.config
    if config["hardware"]["processes"] != 1:
        return False
    perceptron = config["model"]["_target_"].startswith("gensweep.models.mlp.")
    special = config["augment"] or config["budget"]["keep"] or config["start"]["run"]
    special = special or config["precision"] == "bfloat16"
    return config["hardware"]["stack"] > 1 and perceptron and not special and not job.run.manifest()


def cut(group: Stack) -> list[Stack]:
    """As few stacks as the limit allows, as even as can be."""
    config = group[0].config
    limit = config["hardware"]["stack"]
    if config["data_seed"] is None:
        limit = min(limit, OWN_DATA)
    number = math.ceil(len(group) / limit)
    return [group[i * len(group) // number : (i + 1) * len(group) // number] for i in range(number)]


def outcome(stack: Stack, code: int | None) -> str:
    """How a stack ended, in words."""
    trained = sum(job.run.has(*TRAINED) for job in stack)
    diverged = sum(job.run.diverged() for job in stack)
    words = f"{trained} of {len(stack)} networks trained" + f", {diverged} diverged" * bool(diverged)
    if not code:
        return words
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else "failed"
    return f"{words}, then it {how}; log: {log_of(stack)}; what is left is trained one by one"


def log_of(stack: Stack) -> Any:
    """Where a stack says what went wrong: the log of its first run."""
    return stack[0].run.folder / "log.txt"


def _child(stack: Stack) -> None:
    """The life of one process; as in the pool, it dies with its parent."""
    from gensweep.stacked import train_stacked

    die_with_parent()
    listen_to_parent()
    log_of(stack).parent.mkdir(parents=True, exist_ok=True)
    code = 0
    with open(log_of(stack), "a", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        try:
            train_stacked([job.config for job in stack])
        except Exception:
            traceback.print_exc()
            code = FAILED
    os._exit(code)
