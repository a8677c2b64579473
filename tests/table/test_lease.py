"""One process at a time holds a run, also where the kernel's locks are of no use."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from gensweep.errors import Busy
from gensweep.table import lease
from gensweep.table.lease import held, is_working
from gensweep.table.process import is_alive, is_here, myself
from tests.waiting import wait_for

ELSEWHERE = {"machine": "another kernel", "host": "node7", "pid": 12, "born": "5"}


@pytest.fixture
def no_locks(monkeypatch):
    """A file server without them."""

    def refuse(self):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lease.FileLock, "acquire", refuse)


def leave(folder, process, silent=0.0):
    """A lease of this process, which gave its last sign of life so many seconds ago."""
    path = folder / ".lease"
    path.write_text(json.dumps(process))
    then = time.time() - silent
    os.utime(path, (then, then))


def dead():
    """A process of this machine that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return myself() | {"pid": ended.pid}


def test_a_living_process_of_another_machine_is_named(tmp_path):
    leave(tmp_path, ELSEWHERE, silent=lease.LOST - 5)
    with pytest.raises(Busy, match=f"run {tmp_path.name} is held by process 12 on node7; try again later"):
        held(tmp_path).__enter__()


def test_a_silent_one_is_taken_over(tmp_path):
    leave(tmp_path, ELSEWHERE, silent=lease.LOST + 5)
    with held(tmp_path):
        assert lease.holder(tmp_path)["pid"] == os.getpid()
    assert not (tmp_path / ".lease").exists()


def test_a_dead_process_of_this_machine_is_followed_at_once(tmp_path, no_locks):
    leave(tmp_path, dead())
    with held(tmp_path):
        pass


def test_a_living_process_of_this_machine_keeps_it_however_silent(tmp_path, no_locks):
    leave(tmp_path, myself(), silent=lease.LOST * 10)
    with pytest.raises(Busy, match=f"process {os.getpid()} on"):
        held(tmp_path).__enter__()


def test_silence_is_told_by_one_clock(tmp_path, monkeypatch):
    leave(tmp_path, ELSEWHERE)
    monkeypatch.setattr(time, "time", lambda: 4e9)  # a clock that is wrong by decades
    with pytest.raises(Busy):
        held(tmp_path).__enter__()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}'])
def test_a_lease_that_cannot_be_read_counts_by_its_age(tmp_path, content):
    (tmp_path / ".lease").write_bytes(content)
    with pytest.raises(Busy, match="on some machine"):
        held(tmp_path).__enter__()
    os.utime(tmp_path / ".lease", (0, 0))
    with held(tmp_path):
        pass


def test_locks_that_fail_otherwise_are_not_ignored(tmp_path, monkeypatch):
    def refuse(self):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(lease.FileLock, "acquire", refuse)
    with pytest.raises(OSError, match="input/output"):
        held(tmp_path).__enter__()


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "TOUCHED", 0.01)
    with held(tmp_path):
        os.utime(tmp_path / ".lease", (0, 0))
        wait_for(lambda: time.time() - (tmp_path / ".lease").stat().st_mtime < 60)


HOLDER = """
import sys, time
from pathlib import Path
from gensweep.table import lease
lease.TOUCHED = 0.01
with lease.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_was_taken_for_dead_ends_before_it_writes(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=-1, stderr=-1, text=True)
    assert process.stdout.readline() == "held\n"
    (tmp_path / ".lease").unlink()
    leave(tmp_path, ELSEWHERE)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 75
    assert "held by process 12 on node7" in err
    assert "silent for too long" in err
    assert lease.holder(tmp_path) == ELSEWHERE


CONTENDER = """
import errno, os, sys, time
from pathlib import Path
from gensweep.errors import Busy
from gensweep.table import lease
def refuse(self):
    raise OSError(errno.ENOLCK, "no locks")
lease.FileLock.acquire = refuse
folder, wins = Path(sys.argv[1]), 0
while wins < 15:
    try:
        with lease.held(folder):
            os.close(os.open(folder / "inside", os.O_CREAT | os.O_EXCL))  # fails when somebody else is in
            os.unlink(folder / "inside")
            wins += 1
            if wins == 15 and sys.argv[2] == "dies":
                os._exit(9)
    except Busy:
        time.sleep(0.001)
"""


def test_several_processes_without_locks_are_never_in_at_once(tmp_path):
    ways = ["dies", "ends", "dies", "ends"]
    racers = [subprocess.Popen([sys.executable, "-c", CONTENDER, tmp_path, way]) for way in ways]
    assert [racer.wait(timeout=100) for racer in racers] == [9, 0, 9, 0]


def test_what_is_said_elsewhere_holds_as_long_as_there_are_signs_of_life(tmp_path):
    assert not is_working(tmp_path, ELSEWHERE)
    leave(tmp_path, ELSEWHERE, silent=lease.LOST)
    assert is_working(tmp_path, ELSEWHERE)
    leave(tmp_path, ELSEWHERE, silent=lease.LOST + 2 * lease.SKEW)
    assert not is_working(tmp_path, ELSEWHERE)


def test_a_process_is_known_by_machine_number_and_birth():
    me = myself()
    assert is_here(me)
    assert is_alive(me)
    assert not is_alive(me | {"born": "1"})
    assert not is_alive(dead())
    assert not is_here(me | {"machine": "another"})
    assert not is_alive({"pid": "x"})
    assert not is_alive({})


def test_a_sign_of_life_from_the_future_is_none(tmp_path):
    leave(tmp_path, ELSEWHERE, silent=-86_400)
    with held(tmp_path):
        pass
