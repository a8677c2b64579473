"""Who holds a run, also where several machines share its folder and locks cannot be trusted.

The kernel's lock is asked first: it ends with its process. Some file servers keep it to one machine, or
know none; so the holder also leaves a file with its name, made in one step, and touches it while it lives.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gensweep.errors import Busy
from gensweep.table.plain import content_of, from_json
from gensweep.table.process import is_alive, is_here, myself

TOUCHED = 10.0  # seconds between two signs of life
LOST = 60.0  # without one, after which another machine may take the run over
SKEW = 600.0  # by which the clocks of two machines may differ for those who only look
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the folder of a run for this process.

    Args:
        folder: Must be there.

    Raises:
        Busy: Another process holds it.
    """
    lock = FileLock(folder / ".lock", timeout=0, fallback_to_soft=False)
    with contextlib.ExitStack() as stack:
        try:
            lock.acquire()
            stack.callback(lock.release)
        except Timeout:
            raise Busy(_busy(folder, holder(folder))) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        stack.enter_context(_Lease(folder))
        yield


def holder(folder: Path) -> dict[str, Any]:
    """What the lease says of who holds the run; empty where there is none, or it cannot be read."""
    try:
        return from_json(content_of(folder / ".lease"))
    except (OSError, ValueError):
        return {}


def is_working(folder: Path, process: Mapping[str, Any]) -> bool:
    """Whether the process that said so last is still at the run; writes nothing.

    Args:
        folder: Of the run.
        process: As it described itself.
    """
    if is_here(process):
        return is_alive(process)
    try:
        silent = time.time() - (folder / ".lease").stat().st_mtime
    except OSError:
        return False
    return abs(silent) < LOST + SKEW


def _busy(folder: Path, process: Mapping[str, Any]) -> str:
    who = f"process {process.get('pid', '?')} on {process.get('host', 'some machine')}"
    return f"run {folder.name} is held by {who}; try again later"


class _Lease:
    """The file of the one who holds a run, and the thread that touches it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / ".lease"
        self.text = json.dumps(myself() | {"token": secrets.token_hex(8)}).encode()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._touch, daemon=True)

    def __enter__(self) -> None:
        while not self._created():
            found = _content(self.path)
            if self._valid(found):
                raise Busy(_busy(self.folder, holder(self.folder)))
            self._remove(found)
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.thread.join()
        if _content(self.path) == self.text:
            self.path.unlink(missing_ok=True)

    def _created(self) -> bool:
        """Whether the file could be made, whole and in one step, where there was none."""
        whole = self._aside()
        try:
            whole.write_bytes(self.text)
            os.link(whole, self.path)
        except FileExistsError:
            return False
        finally:
            whole.unlink(missing_ok=True)
        return True

    def _aside(self) -> Path:
        """A name beside the lease that nobody else uses."""
        return self.path.with_suffix(f".{secrets.token_hex(4)}.tmp")

    def _valid(self, text: bytes) -> bool:
        """Whether the lease is of somebody who lives, as far as can be known here."""
        process = holder(self.folder)
        if text and is_here(process):
            return is_alive(process)
        return abs(self._silence()) < LOST  # a sign of life from the future is none

    def _silence(self) -> float:
        """Seconds since the last sign of life, by the clock of whoever keeps the files."""
        probe = self._aside()
        try:
            probe.touch()
            return probe.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0  # just given back; look again
        finally:
            probe.unlink(missing_ok=True)

    def _remove(self, found: bytes) -> None:
        """Take a dead one's lease away; a new one that somebody made in between is put back."""
        aside = self._aside()
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, aside)
            if _content(aside) != found:
                with contextlib.suppress(FileExistsError):
                    os.link(aside, self.path)
            aside.unlink()

    def _touch(self) -> None:
        while not self.over.wait(TOUCHED):
            if _content(self.path) != self.text:
                self._lose()
            with contextlib.suppress(OSError):  # a server that is away for a moment
                os.utime(self.path)

    def _lose(self) -> None:
        """Somebody took this process for dead: it ends before the two write to the same files."""
        message = f"{_busy(self.folder, holder(self.folder))}: this process was silent for too long and ends"
        print(message, file=sys.__stderr__, flush=True)
        os._exit(75)


def _content(path: Path) -> bytes:
    try:
        return content_of(path)
    except OSError:
        return b""
