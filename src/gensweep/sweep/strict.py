"""Yaml files of others: what they may say to Hydra, and what of it Hydra gets to read at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult

from gensweep.errors import InputError
from gensweep.table.plain import check_yaml

# Another setting by its name, and the one resolver: nothing that reads the environment or makes an object.
_ALLOWED = re.compile(r"\$\{[\w.]+\}|\$\{data_dir:\}")
# What Hydra itself works out anew for every command line, and what an experiment is there to say.
_WORKED_OUT = ("runtime", "overrides", "mode", "searchpath")
_OPEN = {"sweeper": ("params", "scales", "scale"), "job": ("name", "override_dirname", "id", "num")}


def read_strictly() -> None:
    """Have Hydra look at every yaml file before it reads it, whoever asks for it.

    Hydra loads its sources a second time, outside of the modules that one can import, and launchers hand its
    registry to workers: so the methods of both are wrapped, and the registry stays as it is.
    """
    Plugins.instance()  # fills the registry
    for source in (FileConfigSource, SourcesRegistry.instance().types["file"]):
        if source.load_config.__module__ != __name__:
            source.load_config = strict(source.load_config)  # type: ignore


def strict(load: Callable[[Any, str], ConfigResult]) -> Callable[[Any, str], ConfigResult]:
    """The same reader of a file, after a look at it.

    Raises:
        InputError: It is too large, too deep, or refers to itself.
    """

    def load_config(source: Any, config_path: str) -> ConfigResult:
        path = Path(source.path, source._normalize_file_name(config_path))
        if path.is_file():
            try:
                check_yaml(path.read_bytes())
            except ValueError as error:
                raise InputError(f"{path} cannot be read: {error}") from None
        return load(source, config_path)

    return load_config


def check_interpolations(node: Any, where: str = "") -> None:
    """Refuse settings that are worked out by anything but another setting.

    Args:
        node: Of a composed config, as its files have it.
        where: Its dotted path.

    Raises:
        InputError: Naming the setting.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            check_interpolations(key, where)
            check_interpolations(value, f"{where}.{key}".lstrip("."))
    elif isinstance(node, list):
        for value in node:
            check_interpolations(value, where)
    elif isinstance(node, str) and "${" in _ALLOWED.sub("", node):
        raise InputError(f"{where}={node}: a yaml file may refer to another setting, ${{name}}, and no more")


def check_hydra(given: Mapping[str, Any], typed: Mapping[str, Any]) -> None:
    """Refuse a Hydra that yaml files changed: launchers run shell commands, callbacks any code.

    Args:
        given: Hydra's part of what was composed with the user's files.
        typed: The same from the command line alone.

    Raises:
        InputError: Naming the part.
    """
    for key in sorted((given.keys() | typed.keys()) - {*_WORKED_OUT}):
        here, there = (_without(part.get(key), _OPEN.get(key, ())) for part in (given, typed))
        if here != there:
            raise InputError(
                f"hydra.{key} is fixed by gensweep: a yaml file of yours may not set it; "
                "hydra/launcher=… and hydra.launcher.…=… are for the command line"
            )


def _without(part: Any, keys: tuple[str, ...]) -> Any:
    return {k: v for k, v in part.items() if k not in keys} if isinstance(part, Mapping) else part
