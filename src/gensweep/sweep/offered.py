"""What the yaml files offer: every setting that exists, with the value it has when nobody overrides it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml


def offered(groups: dict[str, str], measures: Iterable[str], folders: tuple[Path, ...]) -> dict[str, Any]:
    """Settings of the main config, of the chosen file of each group, and of the chosen measures.

    Read from the files themselves: composing them a second time would take ten times as long.

    Args:
        groups: Group → chosen file.
        measures: Chosen files of the group ``measure``; each holds one measure of its own name.
        folders: Where to look, the first that has a file wins.
    """
    main = _read("config", folders)
    main.pop("hydra", None)
    chosen = {group: _read(f"{group}/{name}", folders) for group, name in groups.items()}
    measured: dict[str, Any] = {}
    for name in measures:
        measured |= _read(f"measure/{name}", folders)
    return {**main, **chosen, "measure": measured}


def _read(name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """A yaml file with the files of its group that its defaults list names; empty where there is none."""
    path = next((p for p in (folder / f"{name}.yaml" for folder in folders) if p.exists()), None)
    if path is None:
        return {}
    node = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader) or {}
    parents = [p for p in node.pop("defaults", []) if isinstance(p, str) and p != "_self_"]
    group = name.rpartition("/")[0]
    settings: dict[str, Any] = {}
    for parent in parents:
        settings |= _read(f"{group}/{parent}" if group else parent, folders)
    return settings | node
