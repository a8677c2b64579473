"""Files that are whole or absent."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``: there whole after a crash at any moment, or not at all.

    Raises:
        OSError: With the path, and where the disk is full with the room that is needed.
    """
    try:
        _put(path, content)
    except OSError as error:
        if is_full(error):
            raise full(path, len(content)) from error
        error.filename = error.filename or str(path)
        raise


def _put(path: Path, content: bytes) -> None:
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def is_full(error: BaseException) -> bool:
    """Whether the disk, or this user's share of it, had no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def full(path: Path, needed: int) -> OSError:
    """The error of a disk without room for so many bytes at a path."""
    disk = os.statvfs(path.parent)
    if disk.f_files and not disk.f_favail:  # some count none at all
        return OSError(errno.ENOSPC, "disk full: it holds as many files as it can", str(path))
    free = shutil.disk_usage(path.parent).free
    return OSError(errno.ENOSPC, f"disk full: {needed:,} bytes needed, {free:,} free", str(path))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(content: bytes) -> str:
    """Hex digest of the content."""
    return hashlib.sha256(content).hexdigest()
