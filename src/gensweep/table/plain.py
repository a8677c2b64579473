"""Plain data from files that anybody may have written: small, shallow, and nothing else but data."""

from __future__ import annotations

import errno
import json
import stat
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 100_000  # of a yaml file; Hydra reads 200 kB a second
DEEPEST = 64  # libyaml's own reader overflows the stack, and with it the process, at some ten thousand


def from_yaml(content: bytes) -> dict[str, Any]:
    """The mapping in a yaml file; an empty one of an empty file.

    Raises:
        ValueError: It is too large or too deep, refers to itself, asks for a Python object, or holds no
            mapping.
    """
    check_yaml(content)
    try:
        found = yaml.load(content, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(found, dict | None):
        raise ValueError("it holds no mapping")
    return found or {}


def check_yaml(content: bytes) -> None:
    """Look at a yaml file before anything is built from it: 230 bytes of aliases can stand for gigabytes.

    Raises:
        ValueError: It is too large or too deep, or refers to itself, or is no yaml.
    """
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has {len(content):,} bytes, and {MOST_BYTES:,} is the most")
    depth = 0
    for event in _events(content):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ValueError("it has an anchor (&) or an alias (*); write the value out, or put it in quotes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")


def _events(content: bytes) -> Any:
    try:
        yield from yaml.parse(content, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def content_of(path: Path) -> bytes:
    """What a file holds; of a pipe or a device nobody knows when it ends.

    Raises:
        OSError: There is none, or it is no file.
    """
    if stat.S_IFMT(path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):  # a folder says so itself
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return path.read_bytes()


def printable(text: str) -> str:
    r"""Text that neither moves the cursor nor begins a line of its own.

    >>> printable("a\x1b[2J\nb")
    'a\\x1b[2J\\nb'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def from_json(content: bytes) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: It is none, or something else.
    """
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("it holds no object")
    return found
