"""Runs that differ in their seed alone, trained as one stack; beside ``run``, what sees a config."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from gensweep.data.base import Data
from gensweep.errors import Busy
from gensweep.geometry.solution import Layout, Solution
from gensweep.parts import load, network, protocol
from gensweep.products import quick_products
from gensweep.rng import Stream
from gensweep.run import commit, end_diverged
from gensweep.solutions import state
from gensweep.sweep.identity import data_seed, run_id, science
from gensweep.table.history import note_asked
from gensweep.table.store import Run, Store
from gensweep.train.fit import CHECKPOINT
from gensweep.train.pool import Pool
from gensweep.train.stack import End, Stack

QUIET = 10.0  # seconds between two words on the progress; a hundred runs are a hundred files


class Member:
    """One run of a stack: its config, where it is stored, its network and where that began."""

    def __init__(self, config: dict[str, Any], data: Data) -> None:
        self.config, self.run = config, run_of(config)
        self.network: Any = network(config, data)
        self.begun, self.init_P = state(self.network), self.theta_P

    @property
    def theta_P(self) -> torch.Tensor:
        """The parameters as they are now, a copy."""
        return Layout.of(self.network).pack(dict(self.network.named_parameters()))

    @property
    def solution(self) -> Solution:
        """The network with its beginning and its end."""
        target = self.config["budget"]["target_loss"]
        return Solution(self.network.eval(), self.theta_P, self.init_P, target)

    def say(self, line: str) -> None:
        """Add a line to the log of the run."""
        with open(self.run.folder / "log.txt", "a") as log:
            print(line, file=log)


def train_stacked(configs: Sequence[dict[str, Any]]) -> None:
    """Train the networks of these runs at once; each is committed, as a run alone would, when it ends.

    Left out is a run that another process holds, that has begun already, or has files.

    Args:
        configs: Composed and checked; equal but for ``seed``, with perceptrons that `Stack` takes.
    """
    torch.set_num_threads(configs[0]["hardware"]["threads"])
    with contextlib.ExitStack() as held, quick_products():
        mine = [config for config in configs if untouched(run_of(config), held)]
        if mine:
            train(mine)


def run_of(config: dict[str, Any]) -> Run:
    """Where the run of this config is stored."""
    return Store(Path(config["outputs"])).run(run_id(config))


def untouched(run: Run, held: contextlib.ExitStack) -> bool:
    """Hold the run from now on; whether it is ours and nothing of it is there yet."""
    try:
        held.enter_context(run.claimed())
    except Busy:
        return False
    return not run.manifest() and not (run.folder / CHECKPOINT).exists()


def train(configs: Sequence[dict[str, Any]]) -> None:
    """All of it, now that the runs are ours."""
    started = said = time.monotonic()

    @functools.lru_cache(1)  # one data set serves all, or each has its own and only one is kept
    def data(seed: int) -> Data:
        return load({**configs[0], "data_seed": seed})

    members = [Member(config, data(data_seed(configs[0]))) for config in configs]

    def progress(line: str) -> None:
        nonlocal said
        if time.monotonic() - said >= QUIET:
            said = time.monotonic()
            for k in stack.alive:
                members[k].run.set_state("training", progress=line)

    for member in members:
        member.run.set_state("training", progress=f"in a stack of {len(members)}")
        note_asked(member.run, science(member.config))
    seeds = dict.fromkeys(data_seed(config) for config in configs)
    pool = Pool.of(map(data, seeds), members[0].init_P.dtype)
    orders = [Stream(seed).child("train") for seed in seeds]
    how = protocol(configs[0], data(next(iter(seeds))))
    stack = Stack([m.network for m in members], pool, how, orders, progress)
    for end in stack.ends():
        member = members[end.network]
        seconds = (time.monotonic() - started) / len(members)
        ended(member, end, data(data_seed(member.config)), seconds)


def ended(member: Member, end: End, data: Data, seconds: float) -> None:
    """What a run alone leaves behind at the end of its training."""
    if end.diverged:
        end_diverged(member.config, member.run, end.diverged, member.say)
        return
    outcome = {"epochs": end.epochs, "updates": end.updates, "train_seconds": seconds}
    commit(member.config, member.solution, data, {0: member.begun}, outcome, member.run)
    member.run.set_state("trained")
    member.say(f"trained in a stack: {end.epochs} epochs, {end.updates} updates")
