"""Where tables lie, and where files may go. No pandas: a wrong path is said at once."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from gensweep.errors import InputError


def existing_table(path: Path) -> Path:
    """The path itself.

    Raises:
        InputError: There is no such file or folder.
    """
    if not path.is_file() and not path.is_dir():
        raise InputError(f"no table at {path}; make it with `gensweep collect`")
    return path


def check_confined(folder: Path, root: Path) -> None:
    """Refuse a folder that links lead out of: who made it would choose what is overwritten.

    Args:
        folder: To be written to; looked through if it is there.
        root: What it must lie in; may be a link itself.

    Raises:
        InputError: Naming the link.
    """
    inside = os.path.realpath(root)
    places = [folder, *(Path(at, name) for at, folders, files in os.walk(folder) for name in folders + files)]
    for place in places:
        if place != folder and not place.is_symlink():
            continue
        found = os.path.realpath(place)
        if os.path.commonpath([inside, found]) != inside:
            raise InputError(f"{place} is a link, or below one, to {found}, outside {root}; remove that link")


def check_writable(outputs: Path) -> None:
    """Find out now, not after hours of training, that runs cannot be written there.

    Args:
        outputs: Where everything goes.

    Raises:
        InputError: The folder, or the nearest one above it, is none or takes no files.
    """
    place = outputs.absolute()
    deepest = place / "runs" / ("0" * 12) / "rows" / ("x" * 64)
    while not os.path.lexists(place):
        place = place.parent
    try:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(deepest)  # a name that is too long is no name that is not there yet
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        why = f"{place} takes no files ({error.strerror})"
        raise InputError(f"outputs={outputs}: {why}; choose another folder") from None
