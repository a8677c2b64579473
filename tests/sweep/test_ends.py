"""How a run ended: out of memory, killed, late, preempted and broken are told apart."""

import errno
import os
import signal

import pytest
import torch

from gensweep.sweep import ends
from gensweep.sweep.clock import Clock
from gensweep.sweep.ends import by_death, by_error, starvations
from gensweep.table.store import Store


def refused_by_torch():
    with pytest.raises(RuntimeError) as refusal:
        torch.empty(2**60)
    return refusal.value


def refused_by_numpy():
    import numpy as np

    with pytest.raises(MemoryError) as refusal:
        np.empty(2**58)
    return refusal.value


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        refused_by_numpy(),
        refused_by_torch(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_memory_is_a_state_of_its_own(error):
    state, reason = by_error(error)
    assert state == "oom"
    assert reason.startswith("out of memory: ")
    assert "smaller network or batch" in reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (KeyError(), "KeyError: "),
        (
            OSError(errno.ENOSPC, "disk full: 10 bytes needed, 3 free", "/a/b"),
            "disk full: 10 bytes needed, 3 free: /a/b; make room, then the same command goes on",
        ),
    ],
)
def test_what_else_goes_wrong_has_failed_with_one_line(error, reason):
    assert by_error(error) == ("failed", reason)


def test_a_kill_while_the_kernel_wanted_memory_is_told_from_one_by_hand():
    assert by_death(-signal.SIGKILL, starved=False) == ("failed", "killed by SIGKILL")
    state, reason = by_death(-signal.SIGKILL, starved=True)
    assert state == "oom"
    assert "when the machine was out of memory" in reason
    assert by_death(-signal.SIGSEGV, starved=True) == ("failed", "killed by SIGSEGV")
    assert by_death(255, starved=True) == ("failed", "lost with the process that made it")


def test_the_kernel_counts_whom_it_kills(tmp_path, monkeypatch):
    assert starvations() >= 0
    (tmp_path / "vmstat").write_text("nr_free_pages 5\noom_kill 7\n")
    monkeypatch.setattr(ends, "Path", lambda name: tmp_path / os.path.basename(name))
    assert starvations() == 7
    (tmp_path / "vmstat").unlink()
    assert starvations() == 0


@pytest.fixture
def run(tmp_path):
    run = Store(tmp_path).run("0123456789ab")
    run.folder.mkdir(parents=True)
    return run


@pytest.fixture
def now(monkeypatch):
    """A clock that is set by hand."""
    time = [0.0]
    monkeypatch.setattr("gensweep.sweep.clock.time.monotonic", lambda: time[0])
    return time


def test_each_station_has_the_whole_limit(run, now):
    clock = Clock(run, 10.0)
    run.set_state("training", progress="epoch 1")
    assert not clock.late()
    now[0] = 9
    run.set_state("training", progress="epoch 2")  # no other station
    assert not clock.late()
    run.set_state("measuring", progress="surface 1/8")
    assert not clock.late()
    now[0] = 18
    run.set_state("measuring", progress="surface 2/8")
    assert not clock.late()
    now[0] = 19.5
    assert clock.late().startswith("measuring surface took longer than hardware.time_limit=10 s; ")
    run.set_state("measuring", progress="basin")
    assert not clock.late()


def test_without_a_limit_nothing_is_late(run, now):
    clock = Clock(run, None)
    now[0] = 1e9
    assert not clock.late()
