"""How a run ended otherwise than done: what its error or its death says of it. No torch."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import NamedTuple

from gensweep.table.atomic import is_full

# What libraries say in errors of their own kind when they get no memory.
_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "unable to allocate")


class End(NamedTuple):
    """The state that a run is left in, and why."""

    state: str
    reason: str


def by_error(error: Exception) -> End:
    """The end that an error is."""
    if is_full(error):
        assert isinstance(error, OSError)
        return End("failed", f"{error.strerror}: {error.filename}; make room, then the same command goes on")
    first = (str(error).splitlines() or [""])[0]
    if isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY):
        return End("oom", f"out of memory: {first or type(error).__name__}; {SMALLER}")
    return End("failed", f"{type(error).__name__}: {first}")


SMALLER = "give it more memory, fewer hardware.jobs beside it, or a smaller network or batch"


def by_death(code: int, starved: bool) -> End:
    """The end of a process that could not say anything.

    Args:
        code: As of ``multiprocessing``: minus the number of the signal that killed it.
        starved: Whether the kernel has killed a process for want of memory while it lived.
    """
    if code >= 0:
        return End("failed", "lost with the process that made it")
    name = signal.Signals(-code).name
    if -code != signal.SIGKILL:
        return End("failed", f"killed by {name}")
    if starved:
        return End("oom", f"killed by {name} when the machine was out of memory; {SMALLER}")
    return End("failed", f"killed by {name}")


def starvations() -> int:
    """How many processes the kernel has killed for want of memory so far; 0 where it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))
