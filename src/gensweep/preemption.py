"""Being asked to end, by a signal: training writes a checkpoint first, all else ends at once. No torch."""

from __future__ import annotations

import signal
from typing import Any

_asked = 0  # the number of the signal that training has yet to heed
_patient = False  # whether training is under way and looks for it


class Preempted(SystemExit):
    """This process was asked to end.

    Args:
        number: The signal; the exit code is 128 more, as in a shell.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"asked to end by {signal.Signals(self.number).name}; the same command goes on"


def listen() -> None:
    """Heed SIGTERM and SIGINT from now on; Lightning would turn a termination into success."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)


def listen_to_parent() -> None:
    """Heed SIGTERM alone: Ctrl+C reaches the parent too, which passes on what is to be done.

    Processes of a group are born deaf to it, so that none of them hears it before this.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, ask)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def ask(number: int, frame: Any) -> None:
    """End, now or after a checkpoint.

    A second Ctrl+C ends at once. A second SIGTERM changes nothing: a queue sends it to all processes of a
    job, and the first of them passes it on to the others.
    """
    global _asked
    if not _patient or (_asked and number == signal.SIGINT):
        raise Preempted(number)
    _asked = _asked or number


def asked() -> int:
    """The signal by which training is asked to write a checkpoint and end; 0 for none."""
    return _asked


def heed(number: int = 0) -> None:
    """End here, if this process, or another one of its run by that signal, was asked to.

    Raises:
        Preempted: It was.
    """
    if _asked or number:
        raise Preempted(_asked or number)


def patient(now: bool) -> None:
    """Say whether a signal is to be kept until somebody heeds it."""
    global _patient
    _patient = now
