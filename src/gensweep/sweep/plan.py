"""What a command line asks for: its jobs, composed and checked, before the first one starts. No torch."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate

from gensweep.data.base import DataSet
from gensweep.data.corrupt import check_sizes
from gensweep.errors import InputError
from gensweep.sweep import identity
from gensweep.sweep.compose import composed, composer
from gensweep.sweep.engine import LOCAL, check_jobs, chosen, refuse_alone
from gensweep.sweep.other import named
from gensweep.sweep.sizes import sized
from gensweep.sweep.start import check_start, resolved
from gensweep.sweep.trusted import KEY
from gensweep.sweep.words import as_text
from gensweep.table.store import DIVERGED, Run, Store

MOST_VALUES = 10_000  # in one range of a grid


@dataclass(frozen=True)
class Job:
    """One run to be made.

    Args:
        overrides: The command line that composes it alone.
        config: Its whole config, checked.
    """

    overrides: tuple[str, ...]
    config: dict[str, Any]

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
        typed = _typed(overrides)
        fixed = _without_sweeps(typed)
        _, hydra_part = composed(fixed, config_dir)
        if multirun or hydra_part["mode"] == RunMode.MULTIRUN:
            # Hydra hands its sweeper the overrides without its own; the same grid is not composed twice.
            swept = _swept(tuple(o for o in overrides if not o.lstrip("+").startswith("hydra")), config_dir)
            hardware = [job.config["hardware"] for job in swept.jobs]
            check_jobs(chosen(hydra_part), hydra_part["launcher"], hardware)
            return replace(swept, launcher=chosen(hydra_part))
        _refuse_sweeps(typed)
        refuse_alone(chosen(hydra_part))
        return Plan((point(fixed, config_dir),), False)


@functools.cache
def _swept(overrides: tuple[str, ...], config_dir: str | None) -> Plan:
    typed = _typed(overrides)
    _, hydra_part = composed(_without_sweeps(typed), config_dir)
    points = _grid(hydra_part, typed)
    jobs: dict[str, Job] = {}
    elsewhere = False
    for job in (point(tuple(p), config_dir) for p in points):
        if jobs.setdefault(job.run_id, job).shards != job.shards:
            raise InputError(
                f"two points of the grid measure run {job.run_id} differently ({' '.join(job.overrides)}); "
                "measures are not swept over, name them in one list"
            )
        elsewhere |= jobs[job.run_id].config["hardware"] != job.config["hardware"]
    return Plan(
        tuple(jobs.values()), True, len(points) - len(jobs), _experiment(hydra_part), elsewhere=elsewhere
    )


@functools.cache
def point(overrides: tuple[str, ...], config_dir: str | None = None) -> Job:
    """The one job of overrides that name no grid.

    Raises:
        InputError: What is wrong with it.
    """
    config, _ = composed(overrides, config_dir)
    for name, settings in named(config["measure"]).items():
        raise InputError(
            f"measure.{name}.other={settings['other']} names a run; once both are trained, "
            f"`gensweep measure RUN measure={name}` takes it"
        )
    try:
        dataset: DataSet = instantiate(config["data"])
    except InstantiationException as error:  # around what the data set itself has to say
        raise InputError(str(error.__cause__)) from None
    available = dataset.pool(Path(config["data_dir"]))
    sizes = config["train_size"], config["confusion_size"], config["poison_size"]
    train_size = check_sizes(available, *sizes, name=config["data"]["name"])
    store = Store(Path(config["outputs"]))
    job = Job(overrides, resolved(sized(config, train_size + config["confusion_size"]), store))
    if config["start"]["run"] and not job.run.diverged() and not job.run.trained():
        check_start(job.config, store)  # what is trained needs no beginning any more
    return job


def _typed(overrides: Sequence[str]) -> list[Override]:
    """The overrides; ``scale=`` works with and without Hydra's plus, names of runs without quotes."""
    return _parsed([f"+{o}" if o.startswith("scale=") else as_text(o) for o in overrides])


def _parsed(overrides: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        first = str(error).splitlines()[0]
        hint = "quote a value with spaces, commas or foreign letters twice: \"outputs='my runs'\""
        raise InputError(f"cannot read the command line: {first}; {hint}") from None


def _without_sweeps(typed: Sequence[Override]) -> tuple[str, ...]:
    return tuple(o.input_line or "" for o in typed if not o.is_sweep_override())


def _refuse_sweeps(typed: Sequence[Override]) -> None:
    for override in typed:
        if override.is_sweep_override():
            raise InputError(f"{override.input_line} names several values; add -m to sweep over them")


def _grid(hydra_part: Mapping[str, Any], typed: Sequence[Override]) -> list[list[str]]:
    """The points of the grid: the experiment's own, then those of its scale, then the command line's."""
    sweeper = hydra_part["sweeper"]
    scale, scales = sweeper["scale"], sweeper["scales"]
    if scales and scale not in scales:
        raise InputError(f"scale={scale}: this experiment has {', '.join(scales)}")
    lines = [f"{k}={v}" for part in (sweeper["params"], scales.get(scale, {})) for k, v in part.items()]
    own = _parsed(lines)
    for key in (KEY, "outputs", "data_dir"):
        if any(o.key_or_group.partition(".")[0] == key for o in own):
            raise InputError(f"{key} stands in the grid of a yaml file; write it on the command line")
    overrides = [*own, *typed]
    for override in overrides:  # expanding first would take all memory
        if override.key_or_group == "outputs" and override.is_sweep_override():
            raise InputError(f"{override.input_line} names several folders; all runs of a sweep lie in one")
        span = override.value()
        if isinstance(span, RangeSweep) and _length(span) > MOST_VALUES:
            raise InputError(
                f"{override.input_line} is {_length(span):,.0f} runs; {MOST_VALUES:,} is the most"
            )
    try:
        return BasicSweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise InputError(str(error).splitlines()[0]) from None


def _length(span: RangeSweep) -> float:
    assert span.start is not None
    assert span.stop is not None
    return (span.stop - span.start) / span.step


def _experiment(hydra_part: Mapping[str, Any]) -> str | None:
    """NAME-SCALE, which becomes the name of a file."""
    chosen, scale = hydra_part["runtime"]["choices"].get("experiment"), hydra_part["sweeper"]["scale"]
    if not chosen or chosen == "null":
        return None
    name = f"{chosen}-{scale}"
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(
            f"experiment={chosen} at scale={scale}: name both by letters, digits, dots and dashes"
        )
    return name
