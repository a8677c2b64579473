"""What the yaml files offer: every setting that exists, with the value it has when nobody overrides it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gensweep.sweep.identity import flatten

_PACKAGE = Path(__file__).resolve().parents[1]
# A wheel carries conf/ inside the package; a checkout has it at its top.
CONF_DIR = _PACKAGE / "conf" if (_PACKAGE / "conf").exists() else _PACKAGE.parents[1] / "conf"


def offered(groups: dict[str, str], measures: Iterable[str], folders: tuple[Path, ...]) -> dict[str, Any]:
    """Settings of the main config, of the chosen file of each group, and of the chosen measures.

    Read from the files themselves: composing them a second time would take ten times as long.

    Args:
        groups: Group → chosen file.
        measures: Chosen files of the group ``measure``; each holds one measure of its own name.
        folders: Where to look, the first that has a file wins.
    """
    main = read("config", folders[-1:])  # the shipped one; Hydra lets nobody stand in for it
    main.pop("hydra", None)
    chosen = {group: read(f"{group}/{name}", folders) for group, name in groups.items()}
    measured: dict[str, Any] = {}
    for name in measures:
        measured |= read(f"measure/{name}", folders)
    return {**main, **chosen, "measure": measured}


def foreign_targets(config: Mapping[str, Any], conf: Path) -> dict[str, Any]:
    """Path → value of every ``_target_`` that no shipped file names, so that yaml runs no code.

    Args:
        config: A composed config, wherever its files came from.
        conf: The folder of the shipped files.
    """
    named = {k: v for k, v in flatten(config).items() if k.endswith("_target_")}
    return {k: v for k, v in named.items() if str(v) not in _shipped(k.partition(".")[0], conf)}


@functools.cache
def _shipped(group: str, conf: Path) -> frozenset[str]:
    files = [read(f"{group}/{path.stem}", (conf,)) for path in (conf / group).glob("*.yaml")]
    return frozenset(v for node in files for k, v in flatten(node).items() if k.endswith("_target_"))


def read(name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """A yaml file with the files of its group that its defaults list names; empty where there is none."""
    path = next((p for p in (folder / f"{name}.yaml" for folder in folders) if p.exists()), None)
    if path is None:
        return {}
    node = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader) or {}
    parents = [p for p in node.pop("defaults", []) if isinstance(p, str) and p != "_self_"]
    group = name.rpartition("/")[0]
    settings: dict[str, Any] = {}
    for parent in parents:
        settings |= read(f"{group}/{parent}" if group else parent, folders)
    return settings | node
