"""From a command line to configs: Hydra composes, and its complaints become one sentence."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gensweep.errors import InputError, close_match
from gensweep.sweep.check import check, check_together, coerced
from gensweep.sweep.engine import check_launcher, chosen, offer
from gensweep.sweep.identity import flatten
from gensweep.sweep.offered import CONF_DIR, offered
from gensweep.sweep.strict import check_hydra, check_interpolations, read_strictly
from gensweep.sweep.trusted import KEY, is_own, refuse_foreign, refuse_unknown, settled, trusted

# Parts of Hydra's own config that run code or write files: nobody's override reaches them.
_QUIET = {"version": 1, "root": None, "disable_existing_loggers": False}
_FIXED = {
    "callbacks": {},
    "job_logging": _QUIET,
    "hydra_logging": _QUIET,
    "run": {"dir": "${outputs}"},
    "output_subdir": None,
    "job.env_set": {},
}
_NO_SETTINGS = ("protocol", "experiment", "scale", "launcher")  # groups whose files only choose and set
_OPEN_HYDRA = ("hydra/launcher", "hydra.launcher.", "hydra.mode", "hydra.verbose")


def default_data_dir() -> str:
    """``$GENSWEEP_DATA``, else a folder in the user's cache."""
    return os.environ.get("GENSWEEP_DATA") or str(Path.home() / ".cache" / "gensweep" / "data")


OmegaConf.register_new_resolver("data_dir", default_data_dir, replace=True)


@contextlib.contextmanager
def composer() -> Iterator[None]:
    """One reader of yaml files for all that is composed inside; Hydra's own main brings one along."""
    read_strictly()
    if GlobalHydra.instance().is_initialized():
        yield
    else:
        offer()
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            yield


@functools.cache
def composed(
    overrides: tuple[str, ...], config_dir: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """One checked config, and Hydra's own part of it, as plain containers.

    Raises:
        InputError: The first thing wrong with it.
    """
    check_overrides(overrides)
    if config_dir and not Path(config_dir).is_dir():
        raise InputError(f"--config-dir {config_dir}: there is no such folder")
    whole = _plain(_compose(overrides, config_dir))
    hydra_part = whole.pop("hydra")
    _check_places(whole, overrides)
    check_launcher(chosen(hydra_part), hydra_part["launcher"], overrides)
    _check_hydra(hydra_part, overrides, config_dir)
    config = {"measure": {}, **whole}  # Hydra leaves an empty list of choices out
    for group in sorted(_groups() - {*_NO_SETTINGS} - config.keys()):
        raise InputError(f"~{group}: a setting cannot be deleted; give it a value")
    if foreign := sorted({*hydra_part["overrides"]["task"]} - {*overrides}):
        raise InputError(f"hydra.overrides.task={foreign} is fixed by gensweep; write it on the command line")
    # Hydra keeps no record of the members of a list of choices; each measure is named like its file.
    choices = _choices(hydra_part)
    reference = offered(choices, config["measure"], _folders(config_dir))
    config = settings(config, reference, trusted(_granted(overrides), config), choices["model"])
    check_together(config)
    return config, hydra_part


def _check_places(config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuse yaml files that say where files are read and written."""
    said = {o.partition("=")[0].lstrip("+~") for o in overrides}
    for key, shipped in (("outputs", "outputs"), ("data_dir", default_data_dir())):
        if key not in said and config.get(key) != shipped:
            raise InputError(f"{key}={config.get(key)} comes from a yaml file; write it on the command line")


def _check_hydra(hydra_part: dict[str, Any], overrides: tuple[str, ...], config_dir: str | None) -> None:
    """Refuse what no override, and no file of the user's, may change in Hydra itself."""
    for key, value in _FIXED.items():
        if functools.reduce(dict.__getitem__, key.split("."), hydra_part) != value:
            raise InputError(f"hydra.{key} is fixed by gensweep; outputs=DIR says where runs go")
    for key in ("launcher", "sweeper"):
        own = hydra_part[key]["_target_"].startswith(("hydra_plugins.", "hydra._internal.core_plugins."))
        if not own or _targets(hydra_part[key]) > 1:
            raise InputError(f"hydra.{key} may not name a _target_ of its own")
    if config_dir:
        typed = tuple(o for o in overrides if o.lstrip("+~").startswith("hydra"))
        check_hydra(hydra_part, _plain(_compose(typed, None))["hydra"])


def _granted(overrides: Sequence[str]) -> Any:
    """What the command line itself says of packages to trust, whatever the yaml files say."""
    typed = [o for o in overrides if o.partition("=")[0].lstrip("+") == KEY]
    return OverridesParser.create().parse_override(typed[-1]).value() if typed else []


def settings(
    config: dict[str, Any], reference: dict[str, Any], packages: tuple[str, ...], model: str
) -> dict[str, Any]:
    """The config, every setting checked: by rules, or by its own yaml file where the model is the user's."""
    refuse_foreign(config, packages)
    own = {}
    if is_own(config["model"]):
        own["model"] = settled(config.pop("model"), reference.pop("model"), model)
    check(config, reference)
    refuse_unknown(config)
    return {**coerced(config), **own}


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse overrides of Hydra's inner parts, and ones that read the environment.

    Raises:
        InputError: Naming the override.
    """
    for text in overrides:
        key = text.partition("=")[0].lstrip("+~")
        if key.startswith("hydra") and (not key.startswith(_OPEN_HYDRA) or key.endswith("_target_")):
            raise InputError(f"{key} is fixed by gensweep; outputs=DIR says where runs go")
        if "${" in text:
            raise InputError(f"{text}: write the value itself; an override is not interpolated")


def _compose(overrides: Sequence[str], config_dir: str | None) -> DictConfig:
    extra = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    try:
        with composer():
            return compose("config", [*overrides, *extra], return_hydra_config=True)
    except MissingConfigException as error:
        raise InputError(_missing(error)) from None
    except yaml.YAMLError as error:
        raise InputError(f"a yaml file cannot be read: {' '.join(str(error).split())}") from None
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(_sentence(error, overrides)) from None


def _targets(node: Any) -> int:
    """How many things a part of a config would have instantiated."""
    if isinstance(node, dict):
        return ("_target_" in node) + sum(map(_targets, node.values()))
    return sum(map(_targets, node)) if isinstance(node, list) else 0


def _plain(whole: DictConfig) -> dict[str, Any]:
    """Plain containers, interpolations resolved outside Hydra's own part."""
    raw: Any = OmegaConf.to_container(whole)
    hydra_part = raw.pop("hydra")
    check_interpolations(raw)
    try:
        config: Any = OmegaConf.to_container(OmegaConf.create(raw), resolve=True)
    except OmegaConfBaseException as error:
        raise InputError(str(error).splitlines()[0]) from None
    return {**config, "hydra": hydra_part}


def _choices(hydra_part: Mapping[str, Any]) -> dict[str, str]:
    """Group → chosen file, for the groups that hold settings."""
    chosen = hydra_part["runtime"]["choices"].items()
    return {g: str(c) for g, c in chosen if not g.startswith("hydra/") and g not in _NO_SETTINGS}


def _folders(config_dir: str | None) -> tuple[Path, ...]:
    return (Path(config_dir), CONF_DIR) if config_dir else (CONF_DIR,)


def config_dir_of(hydra_part: Any) -> str | None:
    """The folder that ``--config-dir`` named, inside Hydra's own main."""
    sources = hydra_part.runtime.config_sources
    return next((s.path for s in sources if s.provider == "command-line"), None)


def _missing(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    known = [p.stem for p in (CONF_DIR / group).glob("*.yaml")]
    return f"{group}={name}: there is no such {group}; {close_match(name, error.options or known)}"


def _sentence(error: Exception, overrides: Sequence[str]) -> str:
    text = str(error) or str(error.__cause__)  # Hydra wraps some in an error without words
    unknown = re.search(r"Could not (?:override|append to config[^']*) '([^']+)'", text)
    if unknown:
        known = _known()
        return f"{unknown[1]}: there is no such setting; {close_match(unknown[1].split('@')[0], known)}"
    twice = re.search(r"Multiple values for (\S+)\.", text)
    if twice:
        return f"+{twice[1]}: it is chosen already; write {twice[1]}=… without the plus"
    broken = next((o for o in overrides if o in text), " ".join(overrides))
    first = text.strip().splitlines()[0]
    return f"cannot read the override {broken}: {first}" if broken else first


def _groups() -> set[str]:
    return {p.name for p in CONF_DIR.iterdir() if p.is_dir()}


def _known() -> list[str]:
    """Names that an unknown one may have been meant for: settings of the default choices, and groups."""
    with composer():
        whole = _plain(compose("config", [], return_hydra_config=True))
    return [*flatten(offered(_choices(whole["hydra"]), whole["measure"], (CONF_DIR,))), *_groups()]
