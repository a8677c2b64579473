"""Processes that end when the one that made them does, or the one that asked for them."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading

_PDEATHSIG = 1  # of prctl(2)


def die_with_maker() -> None:
    """Have the kernel kill this process when the one that forked it has ended; on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:  # it had ended before
            os._exit(1)


def die_with_parent() -> None:
    """End this process when the one that asked for it is gone; a fork server in between outlives that one."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
