"""What a launcher of others runs in its worker: one run, in a process of its own that it outlives."""

from __future__ import annotations

import os
import signal
import time
from types import FrameType
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from gensweep.place import given
from gensweep.sweep.compose import config_dir_of

GRACE = 60.0  # seconds for a checkpoint, once a queue wants its place back
PATIENCE = 900.0  # and those in which a queue that has asked must end this worker


class RunFailed(Exception):
    """The run ended otherwise than done; its state says how."""


def task(config: DictConfig) -> Any:
    """One job, composed and checked again from its own overrides.

    Raises:
        RunFailed: It failed or diverged.
    """
    from gensweep.sweep.group import Group
    from gensweep.sweep.plan import point
    from gensweep.sweep.pool import made

    hydra_part = HydraConfig.get()
    job = point(tuple(hydra_part.overrides.task), config_dir_of(hydra_part))
    asked: list[int] = []
    group = Group(job, place=given(job.config))

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        group.ask_to_end(GRACE)

    before = heard(ask)
    code = made(group)
    for number, handler in before.items():
        signal.signal(number, handler)
    if code:
        give_back(asked, before)
        raise RunFailed(f"{job.run_id} ended with exit code {code}")
    return job.run_id


def heard(ask: Any) -> dict[int, Any]:
    """Take over the signals by which submitit's queues want a place back; returns what was done at each."""
    if "SUBMITIT_EXECUTOR" not in os.environ:
        return {}
    names = ("SIGTERM", "SIG" + os.environ.get("SUBMITIT_PREEMPT_SIGNAL", "USR2"))
    return {signal.Signals[name]: signal.signal(signal.Signals[name], ask) for name in names}


def give_back(asked: list[int], before: dict[int, Any]) -> None:
    """Once the run has its checkpoint, leave the place as the queue wants it.

    At submitit's own signal its handler puts the job back into the queue and ends this worker. A SIGTERM
    comes from Slurm itself, which ends the job soon and, when that is a preemption, queues it again: but
    only one that had not ended by itself.

    Args:
        asked: The signals that came.
        before: Signal → submitit's handler.
    """
    queued = [number for number in asked if number != signal.SIGTERM]
    if queued:
        before[queued[0]](queued[0], None)
    elif asked and os.environ["SUBMITIT_EXECUTOR"] == "slurm":
        time.sleep(PATIENCE)
