"""What the launchers of others leave to us: lost jobs, dead workers, and signals that want a place back."""

import signal
import subprocess
import sys
import threading

import pytest

from gensweep.sweep import task
from gensweep.sweep.group import unasked
from gensweep.sweep.hand_over import every_result, hand_over


def test_every_job_is_waited_for_though_one_is_lost():
    submitit = pytest.importorskip("submitit")
    asked = submitit.Job.results

    def lost(self):
        raise submitit.core.utils.UncompletedJobError("gone")

    submitit.Job.results = lost
    try:
        with every_result("hydra_submitit_launcher"):
            (result,) = submitit.Job.results(None)
        assert str(result) == "gone"
        assert submitit.Job.results is lost
    finally:
        submitit.Job.results = asked


class Dies:
    """A launcher whose worker dies; its module tells whose it is."""

    def launch(self, overrides, first):
        raise RuntimeError("a worker was terminated\nby somebody")


Dies.__module__ = "hydra_plugins.hydra_joblib_launcher.launcher"


def test_a_launcher_that_dies_is_a_sentence(capsys):
    hand_over(Dies(), [], lambda job, n: None)
    assert capsys.readouterr().err == "hydra_joblib_launcher: a worker was terminated\n"


def test_signals_that_end_a_job_wait_until_processes_have_started():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda *_: heard.append("now"))
    try:
        with unasked():
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR2)  # others may hear it
            assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])
            heard.append("started")
        assert heard == ["started", "now"]
    finally:
        signal.signal(signal.SIGUSR2, before)


SIGNALLED = """
import multiprocessing, os, signal, time
from multiprocessing import forkserver
from gensweep.sweep.group import unasked
with unasked():
    process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(60,))
    process.start()
for number in (signal.SIGTERM, signal.SIGUSR2):
    os.kill(forkserver._forkserver._forkserver_pid, number)
process.kill()
process.join()
print(process.exitcode)
"""


def test_a_fork_server_that_slurm_signals_still_says_how_its_children_ended():
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{-signal.SIGKILL}\n", done.stderr


def test_submitits_own_handler_comes_after_the_run_has_ended(monkeypatch):
    calls = []
    task.give_back([signal.SIGTERM, signal.SIGUSR2], {signal.SIGUSR2: lambda *a: calls.append(a)})
    assert calls == [(signal.SIGUSR2, None)]


def test_after_slurms_own_signal_a_worker_waits_for_its_end(monkeypatch):
    waited = []
    monkeypatch.setattr(task.time, "sleep", waited.append)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    task.give_back([signal.SIGTERM], {})
    assert waited == [task.PATIENCE]
    task.give_back([], {})
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")  # nobody there queues it again
    task.give_back([signal.SIGTERM], {})
    assert waited == [task.PATIENCE]


def test_outside_submitit_no_signal_is_taken_over():
    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    assert task.heard(print) == {}
    assert signal.getsignal(signal.SIGTERM) == before
