"""The server that runs are forked from, and what becomes of its processes."""

import os
import signal
import sys
from pathlib import Path

import pytest

from gensweep.sweep.group import begin, prepared, unasked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
# pyarrow's allocator has a thread of its own, which it stops and starts around a fork.
HARMLESS = {"jemalloc_bg_thd"}


def looked_at(pipe):
    """In a process of the server: its server's threads and libraries."""
    import torch

    server = os.getppid()
    threads = [path.read_text().strip() for path in Path(f"/proc/{server}/task").glob("*/comm")]
    pipe.send((threads, "lightning" in sys.modules, torch.cuda.is_initialized()))


def test_the_server_has_the_imports_and_neither_threads_nor_a_gpu():
    here, there = prepared().Pipe()
    process = prepared().Process(target=looked_at, args=(there,))
    begin(process)
    threads, imported, cuda = here.recv()
    process.join()
    assert imported
    assert not cuda
    assert len([name for name in threads if name not in HARMLESS]) == 1, threads


def test_what_is_started_does_not_hear_what_ends_a_job():
    with unasked():
        deaf = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2} <= deaf
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
