"""From a command line to configs: Hydra composes, and its complaints become one sentence."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gensweep.errors import InputError, close_match
from gensweep.sweep.check import check, check_together, coerced
from gensweep.sweep.identity import flatten

_PACKAGE = Path(__file__).resolve().parents[1]
_REPOSITORY = _PACKAGE.parents[1]
# In a checkout the repository's own conf/, in a wheel the copy inside the package.
CONF_DIR = _REPOSITORY / "conf" if (_REPOSITORY / "pyproject.toml").exists() else _PACKAGE / "conf"

# Parts of Hydra's own config that run code or write files: nobody's override reaches them.
_FIXED = ("callbacks", "job_logging", "hydra_logging", "run", "output_subdir")
_OPEN_HYDRA = ("hydra/launcher", "hydra.launcher.", "hydra.mode", "hydra.verbose")


def default_data_dir() -> str:
    """``$GENSWEEP_DATA``, else a folder in the user's cache."""
    return os.environ.get("GENSWEEP_DATA") or str(Path.home() / ".cache" / "gensweep" / "data")


OmegaConf.register_new_resolver("data_dir", default_data_dir, replace=True)


def composed(overrides: Sequence[str], config_dir: str | None = None) -> tuple[dict[str, Any], DictConfig]:
    """One checked config as plain containers, and Hydra's own part of it.

    Raises:
        InputError: The first thing wrong with it.
    """
    check_overrides(overrides)
    whole = _compose(overrides, config_dir)
    hydra_part = whole.hydra
    config = _plain(whole)
    # Hydra keeps no record of the members of a list of choices; each measure is named like its file.
    measures = f"measure=[{','.join(config['measure'])}]"
    reference, reference_hydra = _reference((*_choices(hydra_part), measures), config_dir)
    for key in _FIXED:
        if _raw(hydra_part, key) != _raw(reference_hydra, key):
            raise InputError(f"hydra.{key} is fixed by gensweep; outputs=DIR says where runs go")
    for key in ("launcher", "sweeper"):
        if _targets(_raw(hydra_part, key)) > 1:
            raise InputError(f"hydra.{key} may not name a _target_ of its own")
    check(config, reference)
    config = coerced(config)
    check_together(config)
    return config, hydra_part


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
    # Inside Hydra's own main there is a composer already.
    running = GlobalHydra.instance().is_initialized()
    within = contextlib.nullcontext() if running else initialize_config_dir(str(CONF_DIR), version_base="1.3")
    extra = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    try:
        with within:
            return compose("config", [*overrides, *extra], return_hydra_config=True)
    except MissingConfigException as error:
        raise InputError(_missing(error)) from None
    except (ConfigCompositionException, HydraException, OmegaConfBaseException, ValueError) as error:
        raise InputError(_sentence(error, overrides)) from None


def _raw(hydra_part: DictConfig, key: str) -> Any:
    """A part of Hydra's config as written, interpolations unresolved."""
    return OmegaConf.to_container(hydra_part)[key]  # type: ignore[index,call-overload]


def _targets(node: Any) -> int:
    """How many things a part of a config would have instantiated."""
    if isinstance(node, dict):
        return ("_target_" in node) + sum(map(_targets, node.values()))
    return sum(map(_targets, node)) if isinstance(node, list) else 0


def _plain(whole: DictConfig) -> dict[str, Any]:
    HydraConfig.instance().set_config(whole)
    node = OmegaConf.masked_copy(whole, [str(k) for k in whole if k != "hydra"])
    try:
        config: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise InputError(str(error).splitlines()[0]) from None
    return {"measure": {}, **config}  # Hydra leaves an empty list of choices out


def _choices(hydra_part: DictConfig) -> tuple[str, ...]:
    """The group choices of a config, without its experiment and scale, as overrides."""
    skip = ("experiment", "scale")
    chosen = hydra_part.runtime.choices.items()
    return tuple(f"{g}={c}" for g, c in chosen if not str(g).startswith("hydra/") and g not in skip)


@functools.cache
def _reference(choices: tuple[str, ...], config_dir: str | None) -> tuple[dict[str, Any], DictConfig]:
    whole = _compose(choices, config_dir)
    return _plain(whole), whole.hydra


def _missing(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    known = [p.stem for p in (CONF_DIR / group).glob("*.yaml")]
    return f"{group}={name}: there is no such {group}; {close_match(name, error.options or known)}"


def _sentence(error: Exception, overrides: Sequence[str]) -> str:
    text = str(error)
    unknown = re.search(r"Could not (?:override|append to config[^']*) '([^']+)'", text)
    if unknown:
        known = [*flatten(_reference((), None)[0]), *_groups()]
        return f"{unknown[1]}: there is no such setting; {close_match(unknown[1].split('@')[0], known)}"
    broken = next((o for o in overrides if o in text), " ".join(overrides))
    first = text.strip().splitlines()[0]
    return f"cannot read the override {broken}: {first}" if broken else first


def _groups() -> list[str]:
    return [p.name for p in CONF_DIR.iterdir() if p.is_dir()]
