"""Launchers of others: what each of them has to know of the runs, and what nobody may tell it. No torch."""

from __future__ import annotations

import copy
import functools
import importlib.util
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf, open_dict

from gensweep.errors import InputError, close_match
from gensweep.place import others_started
from gensweep.sweep.identity import flatten
from gensweep.sweep.offered import CONF_DIR, read

LOCAL = "gensweep"
# Launcher → (the package that brings it, the extra that installs that).
PLUGINS = {
    "joblib": ("hydra_joblib_launcher", "joblib"),
    "ray": ("hydra_ray_launcher", "ray"),
    "submitit_local": ("hydra_submitit_launcher", "submitit"),
    "submitit_slurm": ("hydra_submitit_launcher", "submitit"),
}
BUILT_IN = {
    LOCAL: {"_target_": "hydra_plugins.gensweep_sweeper.plugin.GensweepLauncher"},
    "basic": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"},
}
QUEUES = ("ray", "submitit_local", "submitit_slurm")  # hand out GPUs, and hide those that nobody asked for
FOLDER = "hydra.launcher.submitit_folder"


@functools.cache
def offer() -> None:
    """Put the shipped settings of launchers before those of their plugins, installed or not."""
    Plugins.instance()  # loads the plugins, which offer their own
    for name in PLUGINS:
        ConfigStore.instance().store(name, _shipped(name), group="hydra/launcher", provider="gensweep")


def _shipped(name: str) -> dict[str, Any]:
    return read(f"launcher/{name}", (CONF_DIR,))


def chosen(hydra_part: Mapping[str, Any]) -> str:
    """The launcher of a composed config."""
    return hydra_part["runtime"]["choices"]["hydra/launcher"]


def check_launcher(name: str, settings: Mapping[str, Any], typed: Sequence[str]) -> None:
    """Whether it is installed, and every setting is the shipped one or stands on the command line.

    A launcher takes lines of shell and places of files; no yaml file of others brings such.

    Raises:
        InputError: The setting, or what to install.
    """
    known = (*BUILT_IN, *PLUGINS)
    if name not in known:
        raise InputError(f"hydra/launcher={name}: there is no such launcher; {close_match(name, known)}")
    if name != LOCAL and not any(o.partition("=")[0] == "hydra/launcher" for o in typed):
        raise InputError(f"hydra/launcher={name} comes from a yaml file; write it on the command line")
    shipped = BUILT_IN.get(name) or flatten(_shipped(name))
    said = [o.partition("=")[0].lstrip("+") for o in typed]
    for path, value in flatten(settings).items():
        full = f"hydra.launcher.{path}"
        if path in shipped and value == shipped[path]:
            continue
        if full == FOLDER:
            raise InputError(f"{FOLDER} is fixed by gensweep; outputs=DIR says where runs go")
        if not any(full == key or full.startswith(f"{key}.") for key in said):
            raise InputError(f"{full}={value} comes from a yaml file; write it on the command line")
    package, extra = PLUGINS.get(name, ("", ""))
    if package and importlib.util.find_spec(f"hydra_plugins.{package}") is None:
        raise InputError(
            f"hydra/launcher={name} needs a package that is not installed; pip install 'gensweep[{extra}]'"
        )


def check_jobs(name: str, settings: Mapping[str, Any], hardware: Iterable[Mapping[str, Any]]) -> None:
    """Whether a launcher of others can start these runs.

    Args:
        name: The launcher.
        settings: Its own.
        hardware: Of each run.

    Raises:
        InputError: What it cannot do, or what it would do several times.
    """
    if name == LOCAL:
        return
    started = others_started()
    if started:
        raise InputError(
            f"{started} processes were started with this command, and each of them would have "
            f"hydra/launcher={name} start every run; leave out one of both"
        )
    for part in hardware:
        _check_hardware(name, _tasks(settings), part)


def _check_hardware(name: str, tasks: int, part: Mapping[str, Any]) -> None:
    if part["processes"] is None and not name.startswith("submitit"):
        raise InputError(
            f"hardware=slurm takes its processes from srun or submitit, and hydra/launcher={name} starts "
            "none; write hardware=ddp"
        )
    if tasks > 1 and part["processes"] is not None:
        raise InputError(
            f"hydra.launcher starts {tasks} tasks for each run (nodes × tasks_per_node); add hardware=slurm, "
            "so that they share it"
        )
    if name in QUEUES and part["accelerator"] == "auto":
        raise InputError(
            f"hydra/launcher={name} must know whether a run needs a GPU; add hardware.accelerator=cuda or cpu"
        )
    if part["stack"] > 1:
        raise InputError(
            f"hardware.stack={part['stack']} stacks runs in the local pool; leave it out with "
            f"hydra/launcher={name}"
        )


def refuse_alone(name: str) -> None:
    """A launcher takes the runs of a sweep, and there is none.

    Raises:
        InputError: It was asked for nevertheless.
    """
    if name != LOCAL:
        raise InputError(f"hydra/launcher={name} takes the runs of a sweep; add -m, for a single run too")


def fitted(config: DictConfig) -> DictConfig:
    """The config for a launcher, which learns from it what a run takes where nobody said so.

    Args:
        config: Hydra's, whole.
    """
    name, part = config.hydra.runtime.choices["hydra/launcher"], config.hardware
    whole = copy.deepcopy(config)
    OmegaConf.set_readonly(whole.hydra, False)
    settings = whole.hydra.launcher
    with open_dict(settings):
        if name == "ray":
            _fit_ray(settings.ray, part)
        elif name in PLUGINS and name in QUEUES:
            _fit_submitit(settings, part)
    return whole


def _fit_ray(settings: Any, part: Any) -> None:
    init, remote = settings.init, settings.remote
    _fill(remote, "num_cpus", part.threads * part.processes)
    _fill(remote, "num_gpus", part.processes if part.accelerator == "cuda" else 0)
    if init.address == "local":
        _fill(init, "num_cpus", part.jobs * remote.num_cpus)


def _fit_submitit(settings: Any, part: Any) -> None:
    here = part.processes or 1  # processes that a task starts itself
    _fill(settings, "cpus_per_task", part.threads * here)
    if part.accelerator == "cuda" and not (settings.get("gres") or settings.get("gpus_per_task")):
        _fill(settings, "gpus_per_node", here * settings.tasks_per_node)
    # submitit unpickles what it finds under the number of a job: nobody can have put anything into this one.
    settings.submitit_folder = "${hydra.sweep.dir}/.submitit/" + secrets.token_hex(6) + "/%j"


def _fill(settings: Any, key: str, value: Any) -> None:
    if settings[key] is None:
        settings[key] = value


def _tasks(settings: Mapping[str, Any]) -> int:
    return settings.get("nodes", 1) * settings.get("tasks_per_node", 1)
