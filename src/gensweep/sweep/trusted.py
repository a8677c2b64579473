"""Networks of others: yaml files bring no code, unless the command line trusts the package that it lies in.

A file ``model/mynet.yaml`` in a folder of the user's may name ``_target_: mypackage.nets.Net``, any subclass
of `torch.nn.Module` that takes ``input_shape`` and ``num_classes``, with settings of its own beside it. It is
imported once ``trusted_targets=[mypackage]`` stands on the command line: whoever types that runs the code of
that package. Nothing but models comes from there. Packages are looked for where Python finds those that are
installed, then in the current directory, so that no file there stands in for one of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from gensweep.errors import InputError, close_match
from gensweep.sweep.identity import flatten
from gensweep.sweep.offered import CONF_DIR, foreign_settings, foreign_targets

KEY = "trusted_targets"
# What gensweep itself imports: much of it can read, write or run files, and none of it is anybody's network.
DEPENDENCIES = (
    *("gensweep", "hydra", "hydra_plugins", "omegaconf", "yaml", "torch", "lightning", "torchmetrics"),
    *("numpy", "scipy", "pandas", "pyarrow", "PIL", "sklearn", "safetensors", "filelock", "matplotlib"),
    *("jinja2", "rich", "huggingface_hub"),
)
GIVEN = ("input_shape", "num_classes")


def trusted(granted: Any, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages that may bring networks.

    Args:
        granted: What the command line says.
        config: What came of it, with all yaml files.

    Raises:
        InputError: A yaml file trusts somebody, or the command line trusts what is nobody's network.
    """
    if config.get(KEY, granted) != granted:
        raise InputError(
            f"{KEY}={config[KEY]} comes from a yaml file, which may not trust anybody; "
            "write it on the command line"
        )
    names = tuple(map(str, granted)) if isinstance(granted, list) else ()  # the rules refuse anything else
    for name in names:
        if not _of_networks(name):
            raise InputError(f"{KEY}=[{name}]: that is no package of networks; name the one that holds yours")
    return names


def refuse_foreign(config: Mapping[str, Any], packages: Sequence[str]) -> None:
    """Refuse a config with a part that is neither gensweep's nor a model of a trusted package.

    Raises:
        InputError: Naming the part.
    """
    for key, target in foreign_targets(config, CONF_DIR).items():
        package = target.partition(".")[0] if key == "model._target_" and _dotted(target) else None
        if package not in packages:
            said = f"{key}={target} is not one of gensweep's own; a yaml file may set those, not bring others"
            hint = f"; if you trust that package, say 'trusted_targets=[{package}]' on the command line"
            raise InputError(said + hint if package and _of_networks(package) else said)


def refuse_unknown(config: Mapping[str, Any]) -> None:
    """Refuse a config with a setting that no file of gensweep's has; a model of others may have its own.

    Raises:
        InputError: Naming the setting.
    """
    ours = {k: v for k, v in config.items() if k != "model" or not is_own(v)}
    for key, value in foreign_settings(ours, CONF_DIR).items():
        raise InputError(f"{key}={value}: gensweep has no such setting; take it out of the yaml file")


def _of_networks(package: str) -> bool:
    """Whether a package may hold networks at all."""
    return package not in sys.stdlib_module_names and package not in DEPENDENCIES


def is_own(model: Any) -> bool:
    """Whether a model is none of gensweep's."""
    target = model.get("_target_") if isinstance(model, dict) else None
    return isinstance(target, str) and not target.startswith("gensweep.")


def settled(settings: dict[str, Any], offer: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The settings of a model of the user's own: what its yaml file holds, each of the kind that it is there.

    Args:
        settings: As composed.
        offer: The yaml file.
        name: Of that file; the model's name in tables, unless it says another.

    Raises:
        InputError: A setting that the file lacks, that is of another kind, or that brings code of its own.
    """
    known, given = flatten(offer), flatten(settings)
    for path in given:
        if path not in known:
            known_here = close_match(f"model.{path}", [f"model.{k}" for k in known])
            raise InputError(f"model.{path}={given[path]}: there is no such setting; {known_here}")
    for path, value in known.items():
        if path not in given:
            raise InputError(f"~model.{path}: a setting cannot be deleted; give it a value")
        _check(path, given[path], value)
    return {"name": name, **_of_kind(settings, offer)}


def _check(path: str, value: Any, offered: Any) -> None:
    setting = f"model.{path}={value}"
    if path == "_target_":
        if value != offered:
            raise InputError(f"{setting} cannot be set: the yaml file says {offered}; choose another file")
        return
    if path in GIVEN:
        raise InputError(f"{setting} cannot be set: the data set decides it; take it out of the yaml file")
    if any(part.startswith("_") for part in path.split(".")) or _kind(value) is None:
        raise InputError(f"{setting} is not a number, text, true, false, null or a list of such")
    if None not in (value, offered) and _kind(value) != _kind(offered):
        raise InputError(f"{setting} is not {_kind(offered)}, as in the yaml file ({offered})")


def _kind(value: Any) -> str | None:
    """What sort of leaf it is; None for what may not stand in a yaml file of others."""
    if isinstance(value, list):
        return "a list" if all(_kind(member) for member in value) else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", type(None): "null"}
    return kinds.get(type(value))


def _of_kind(value: Any, offered: Any) -> Any:
    """Whole numbers as floats where the yaml file has floats, so that 1 and 1.0 name one run."""
    if isinstance(value, dict):
        return {k: _of_kind(v, offered[k]) for k, v in value.items()}
    return float(value) if type(value) is int and isinstance(offered, float) else value


def _dotted(target: Any) -> bool:
    parts = target.split(".") if isinstance(target, str) else []
    return len(parts) > 1 and all(part.isidentifier() for part in parts)
