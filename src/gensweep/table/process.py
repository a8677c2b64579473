"""Which process on which machine, so that nobody takes another one for it."""

from __future__ import annotations

import functools
import os
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def myself() -> dict[str, Any]:
    """This process, as `is_alive` knows it later."""
    pid = os.getpid()
    return {"pid": pid, "host": socket.gethostname(), "machine": machine(), "born": _born(pid)}


@functools.cache
def machine() -> str:
    """The running kernel and its numbering of processes: where the number of a process means something."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{uuid.getnode():x}"


def is_here(process: Mapping[str, Any]) -> bool:
    """Whether it is, or was, a process of this machine."""
    return process.get("machine") == machine()


def is_alive(process: Mapping[str, Any]) -> bool:
    """Whether this process of this machine still runs; a later one of its number does not count."""
    pid = process.get("pid")
    if not isinstance(pid, int) or pid <= 0:
        return False
    if Path("/proc/self/stat").exists():
        return bool(process.get("born")) and _born(pid) == process["born"]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _born(pid: int) -> str:
    """When it started, in the kernel's ticks; empty when it has ended, also when nobody has noticed yet."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]
