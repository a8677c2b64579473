"""What the yaml files offer: every setting that exists, with the value it has when nobody overrides it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gensweep.sweep.identity import flatten
from gensweep.table.plain import from_yaml

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
    named = {path: value for path, value in _leaves(config) if path.endswith("_target_")}
    return {k: v for k, v in named.items() if str(v) not in _shipped(k.partition(".")[0], conf)[1]}


def foreign_settings(config: Mapping[str, Any], conf: Path) -> dict[str, Any]:
    """Path → value of every setting that no shipped file of its group has.

    So what a ``_target_`` may name is handed nothing that it was not meant to be.

    Args:
        config: As above.
        conf: As above.
    """
    found = {}
    for path, value in _leaves(config):
        group, _, key = path.partition(".")
        known = _shipped(group, conf)[0]
        if known and _within(group, key) not in known:
            found[path] = value
    return found


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of all that is no mapping, inside lists too."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}".lstrip("."))
        return
    yield path, node
    for member in node if isinstance(node, list) else ():
        yield from (leaf for leaf in _leaves(member, path) if leaf[0] != path)


def _within(group: str, key: str) -> str:
    """A setting of a measure without the name of the measure: one may have it under another."""
    return key.partition(".")[2] if group == "measure" else key


@functools.cache
def _shipped(group: str, conf: Path) -> tuple[frozenset[str], frozenset[str]]:
    """The settings that the files of a group have, and what they name."""
    files = [flatten(read(f"{group}/{path.stem}", (conf,))) for path in (conf / group).glob("*.yaml")]
    leaves = [leaf for node in files for leaf in node.items()]
    keys = {_within(group, k) for k, _ in leaves}
    return frozenset(keys), frozenset(str(v) for k, v in leaves if k.endswith("_target_"))


def read(name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """A yaml file with the files of its group that its defaults list names; empty where there is none."""
    path = next((p for p in (folder / f"{name}.yaml" for folder in folders) if p.exists()), None)
    if path is None:
        return {}
    node = from_yaml(path.read_bytes())
    parents = [p for p in node.pop("defaults", []) if isinstance(p, str) and p != "_self_"]
    group = name.rpartition("/")[0]
    settings: dict[str, Any] = {}
    for parent in parents:
        settings |= read(f"{group}/{parent}" if group else parent, folders)
    return settings | node
