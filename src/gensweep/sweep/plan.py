"""What a command line asks for: its jobs, composed and checked, before the first one starts. No torch."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate

from gensweep.data.base import DataSet
from gensweep.data.corrupt import check_sizes
from gensweep.errors import InputError
from gensweep.sweep import identity
from gensweep.sweep.compose import composed, composer
from gensweep.sweep.engine import LOCAL, check_jobs, chosen, refuse_alone
from gensweep.sweep.grid import experiment, grid, refuse_sweeps, typed, without_sweeps
from gensweep.sweep.other import check_named
from gensweep.sweep.references import settled
from gensweep.sweep.sizes import sized
from gensweep.sweep.start import check_start, resolved
from gensweep.table.store import DIVERGED, Run, Store


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Args:
        overrides: The command line that composes it alone.
        config: Its whole config, checked.
        needs: Names of the runs that must be trained before it begins.
    """

    overrides: tuple[str, ...]
    config: dict[str, Any]
    needs: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The name of the run."""
        return identity.run_id(self.config)

    @property
    def shards(self) -> dict[str, str]:
        """Measure → name of the shard of its rows."""
        return identity.shards(self.config)

    @property
    def run(self) -> Run:
        """Where it is stored."""
        return Store(Path(self.config["outputs"])).run(self.run_id)

    def finished(self) -> bool:
        """Whether every number asked for is there undamaged, or the one row of a run that diverged."""
        if self.run.diverged():
            return self.run.has("config.yaml", f"rows/{DIVERGED}.parquet")
        return self.run.has(*(f"rows/{s}.parquet" for s in self.shards.values())) and self.run.trained()

    def lacking(self) -> list[str]:
        """The names of the runs that it needs and that are not trained."""
        store = Store(Path(self.config["outputs"]))
        return [name for name in self.needs if not store.run(name).trained()]


@dataclass(frozen=True)
class Plan:
    """All jobs of one command line, each run once.

    Args:
        jobs: In the order of the grid.
        multirun: Whether a sweep was asked for.
        duplicates: How many grid points named a run that an earlier one names.
        experiment: ``NAME-SCALE`` of the experiment, or None.
        launcher: Who starts the runs of a sweep.
        elsewhere: Whether some of the duplicates differ in their hardware, which names no run.
    """

    jobs: tuple[Job, ...]
    multirun: bool
    duplicates: int = 0
    experiment: str | None = None
    launcher: str = LOCAL
    elsewhere: bool = False

    @property
    def store(self) -> Store:
        """Where the runs are kept."""
        return Store(Path(self.jobs[0].config["outputs"]))


def plan(overrides: Sequence[str], multirun: bool = False, config_dir: str | None = None) -> Plan:
    """Compose and check every job of a command line.

    Args:
        overrides: As typed, sweeps included.
        multirun: True for ``-m``; an experiment with a grid sets it by itself.
        config_dir: A folder of the user's own yaml files.

    Raises:
        InputError: The first thing wrong with any job.
    """
    with composer():
        words = typed(overrides)
        fixed = without_sweeps(words)
        _, hydra_part = composed(fixed, config_dir)
        if multirun or hydra_part["mode"] == RunMode.MULTIRUN:
            # Hydra hands its sweeper the overrides without its own; the same grid is not composed twice.
            swept = _swept(tuple(o for o in overrides if not o.lstrip("+").startswith("hydra")), config_dir)
            hardware = [job.config["hardware"] for job in swept.jobs]
            check_jobs(chosen(hydra_part), hydra_part["launcher"], hardware)
            return replace(swept, launcher=chosen(hydra_part))
        refuse_sweeps(words)
        refuse_alone(chosen(hydra_part))
        return Plan((point(fixed, config_dir),), False)


@functools.cache
def _swept(overrides: tuple[str, ...], config_dir: str | None) -> Plan:
    words = typed(overrides)
    _, hydra_part = composed(without_sweeps(words), config_dir)
    points = grid(hydra_part, words)
    jobs: dict[tuple[str, ...], Job] = {}
    elsewhere = False
    for job in (_referring(tuple(p), config_dir) for p in points):
        first = jobs.setdefault((job.run_id, *sorted(job.shards.values())), job)
        elsewhere |= first.config["hardware"] != job.config["hardware"]
    _refuse_two_settings(jobs.values())
    _refuse_strangers(jobs.values())
    _refuse_circles(jobs.values())
    return Plan(
        tuple(jobs.values()), True, len(points) - len(jobs), experiment(hydra_part), elsewhere=elsewhere
    )


def _referring(words: tuple[str, ...], config_dir: str | None) -> Job:
    """The job of a point of the grid, which may refer to others of the same sweep."""
    line, needs = settled(words, lambda other, needs: point(other, config_dir, needs).run_id)
    return point(line, config_dir, needs) if needs else point(line, config_dir)


def _refuse_two_settings(jobs: Iterable[Job]) -> None:
    """A run may be measured in several places of a grid, by each measure in one way."""
    seen: dict[tuple[str, str], str] = {}
    for job in jobs:
        for measure, shard in job.shards.items():
            if seen.setdefault((job.run_id, measure), shard) != shard:
                raise InputError(
                    f"two points of the grid measure run {job.run_id} differently "
                    f"({' '.join(job.overrides)}); measures are not swept over, name them in one list"
                )


def _refuse_strangers(jobs: Collection[Job]) -> None:
    """What a run of the sweep refers to is made by the sweep, or was."""
    names = {job.run_id for job in jobs}
    for job in jobs:
        if job.run_id in job.needs:
            raise InputError(f"{' '.join(job.overrides)}: this run refers to itself; name another one")
        for name in (name for name in job.lacking() if name not in names):
            raise InputError(
                f"{' '.join(job.overrides)}: run {name}, to which it refers, is neither in this "
                "sweep nor trained"
            )


def _refuse_circles(jobs: Iterable[Job]) -> None:
    """No run waits for one that waits for it."""
    waiting = [(job, {*job.lacking()}) for job in jobs]
    while ready := {job.run_id for job, lacking in waiting if not lacking}:
        waiting = [(job, lacking - ready) for job, lacking in waiting if lacking]
    if waiting:
        raise InputError(
            f"{' '.join(waiting[0][0].overrides)}: this run and run {min(waiting[0][1])} wait for each "
            "other to be trained; train them in a grid of their own, before one that measures them"
        )


@functools.cache
def point(overrides: tuple[str, ...], config_dir: str | None = None, needs: tuple[str, ...] = ()) -> Job:
    """The one job of overrides that name no grid.

    Args:
        overrides: The command line.
        config_dir: A folder of the user's own yaml files.
        needs: Names of runs that will be trained before this one begins, if they are not yet.

    Raises:
        InputError: What is wrong with it.
    """
    config, _ = composed(overrides, config_dir)
    try:
        dataset: DataSet = instantiate(config["data"])
    except InstantiationException as error:  # around what the data set itself has to say
        raise InputError(str(error.__cause__)) from None
    available = dataset.pool(Path(config["data_dir"]))
    sizes = config["train_size"], config["confusion_size"], config["poison_size"]
    train_size = check_sizes(available, *sizes, name=config["data"]["name"])
    store = Store(Path(config["outputs"]))
    job = Job(overrides, resolved(sized(config, train_size + config["confusion_size"]), store), needs)
    check_named(config["measure"], store, needs)
    start = job.config["start"]["run"]
    if start and start not in needs and not job.run.diverged() and not job.run.trained():
        check_start(job.config, store)  # what is trained needs no beginning any more
    return job
