"""Which of the processes of a run this one is, and who started them. No torch."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gensweep.errors import InputError


@dataclass(frozen=True)
class Place:
    """One process among those that share a run; alone by default.

    Args:
        rank: 0 … world − 1.
        world: How many.
        local: Which of those on this machine.
        locals: How many of them are on each machine.
        address: ``HOST:PORT`` where they meet; empty for where the variables of torchrun say.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    locals: int = 1
    address: str = ""


ALONE = Place()


def places(world: int) -> list[Place]:
    """Places for processes on this machine, meeting at a port that is free now."""
    if world == 1:
        return [ALONE]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    return [Place(r, world, r, world, address) for r in range(world)]


def given(config: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Place | None:
    """The place that torchrun or Slurm gave this process; None when nobody started others beside it.

    Args:
        config: Whole and checked.
        environment: Variables of this process.

    Raises:
        InputError: There are others, and the config wants none, or another number; or it wants Slurm's,
            and there is no Slurm.
    """
    wanted = config["hardware"]["processes"]
    if wanted is None:
        return _by_submitit(environment) or _by_slurm(environment)
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    found = _by_torchrun(environment)
    if wanted == 1 < found.world:
        raise InputError(f"torchrun started {found.world} processes for one that is alone; add hardware=ddp")
    if not config["sync_batch_norm"] and wanted != found.world:
        raise InputError(
            f"sync_batch_norm=false holds for hardware.processes={wanted}, and torchrun started "
            f"{found.world}; make them agree"
        )
    return found


def others_started(environment: Mapping[str, str] = os.environ) -> int:
    """How many processes torchrun or srun started with this command; 0 when it is alone."""
    by_srun = "SLURM_STEP_ID" in environment and "SUBMITIT_EXECUTOR" not in environment
    name = "WORLD_SIZE" if "TORCHELASTIC_RUN_ID" in environment else "SLURM_NTASKS" if by_srun else ""
    count = int(environment.get(name, 1))
    return count if count > 1 else 0


def _by_torchrun(environment: Mapping[str, str]) -> Place:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    rank, world, local, locals = (int(environment[name]) for name in names)
    return Place(rank, world, local, locals)


def _by_submitit(environment: Mapping[str, str]) -> Place | None:
    """Among the tasks that submitit started on this machine; under Slurm it leaves that to srun."""
    if environment.get("SUBMITIT_EXECUTOR") != "local":
        return None
    names = ("GLOBALID", "NTASKS", "LOCALID", "JOB_ID")
    rank, world, local, job = (int(environment[f"SUBMITIT_LOCAL_{name}"]) for name in names)
    return Place(rank, world, local, world, f"127.0.0.1:{_port(job)}")


def _by_slurm(environment: Mapping[str, str]) -> Place:
    if "SLURM_STEP_ID" not in environment or "SLURM_PROCID" not in environment:
        raise InputError(
            "hardware=slurm takes its processes from Slurm, and none started this one; write "
            "`srun -n 4 gensweep run hardware=slurm …`, or hardware=ddp on one machine"
        )
    names = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NNODES")
    rank, world, local, nodes = (int(environment[name]) for name in names)
    if world % nodes or "," in environment.get("SLURM_STEP_TASKS_PER_NODE", ""):
        raise InputError(f"{world} tasks on {nodes} nodes: give each node as many; srun --ntasks-per-node=…")
    host = first_host(environment.get("SLURM_STEP_NODELIST") or environment["SLURM_NODELIST"])
    job = int(re.sub(r"\D", "", environment.get("SLURM_JOB_ID", "0")) or 0)
    step = int(re.sub(r"\D", "", environment["SLURM_STEP_ID"]) or 0)
    return Place(rank, world, local, world // nodes, f"{host}:{_port(job, step)}")


def _port(job: int, step: int = 0) -> int:
    """Where the tasks of a job meet: all know it without asking, and jobs of one machine rarely share it."""
    return 20_000 + (97 * job + step) % 20_000


def first_host(nodes: str) -> str:
    """The first machine of a Slurm list of nodes.

    >>> [first_host(n) for n in ("node7", "gpu[03-05,9],login", "a,b[1-2]", "rack1-n[12-14]x")]
    ['node7', 'gpu03', 'a', 'rack1-n12x']
    """
    first = re.match(r"([^,\[]*)(?:\[(\w+)[^\]]*\])?([^,]*)", nodes)
    assert first is not None
    return "".join(part or "" for part in first.groups())
