"""Where a table lies. No pandas: a wrong path is said at once."""

from __future__ import annotations

from pathlib import Path

from gensweep.errors import InputError


def existing_table(path: Path) -> Path:
    """The path itself.

    Raises:
        InputError: There is no such file.
    """
    if not path.is_file():
        raise InputError(f"no table at {path}; make it with `gensweep collect`")
    return path
