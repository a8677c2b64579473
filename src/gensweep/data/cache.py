"""Decoded arrays on disk, so that only the first run decodes; nothing depends on their being there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]

FORMAT = "gensweep-images-1"  # part of every key: to be raised when decoding changes


def folder() -> Path:
    """``$GENSWEEP_CACHE``, else ``~/.cache/gensweep``."""
    chosen = os.environ.get("GENSWEEP_CACHE")
    return Path(chosen) if chosen else Path(os.path.expanduser("~/.cache/gensweep"))


def cached(paths: Sequence[Path], salt: str, build: Callable[[], Arrays]) -> Arrays:
    """Images and labels decoded from files, from the cache when these very bytes were decoded before.

    Args:
        paths: The files that ``build`` reads, in its order; their bytes make the key.
        salt: What else the result depends on.
        build: Decodes them into uint8 images (N, C, H, W) and int64 labels (N,).

    Returns:
        The two arrays, mapped into memory copy-on-write when they come from the cache, so that the
        processes of a sweep share them. A damaged entry is built again; a folder that cannot be written is
        left alone.
    """
    key = _key(paths, salt)
    entries = [folder() / f"{key}-{part}.npy" for part in ("images", "labels")]
    images, labels = map(_load, entries)
    if images is not None and labels is not None:
        return images, labels
    built = build()
    for entry, array in zip(entries, built, strict=True):
        with contextlib.suppress(OSError):
            _store(entry, array)
    return built


def _key(paths: Sequence[Path], salt: str) -> str:
    total = hashlib.sha256(f"{FORMAT} {salt}".encode())
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _load(entry: Path) -> np.ndarray | None:
    """The array, or None when it is absent or not what was written."""
    try:
        with open(entry, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != _digest_file(entry).read_text():
            return None
        # Copy-on-write and not read-only: a tensor over read-only memory comes with a warning.
        return np.asarray(np.load(entry, mmap_mode="c", allow_pickle=False))
    except (OSError, ValueError):
        return None


def _store(entry: Path, array: np.ndarray) -> None:
    """Writes the array, then its SHA-256; a crash between the two leaves an entry that is built again."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    digest = _write(entry, lambda file: np.save(file, array, allow_pickle=False))
    _write(_digest_file(entry), lambda file: file.write(digest.encode()))


def _write(path: Path, content: Callable[[IO[bytes]], object]) -> str:
    """Puts a whole new file at ``path`` or none; returns the SHA-256 of its bytes."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with open(handle, "w+b") as file:
            content(file)
            file.flush()
            os.fsync(handle)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
    return digest


def _digest_file(entry: Path) -> Path:
    return entry.with_suffix(".sha256")
