"""A sweep of real processes, some of which are killed."""

import json
import os
import signal
import subprocess
import sys

import pytest

from gensweep.sweep.plan import plan
from gensweep.table.store import Store
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
ENDLESS = 10**6


def words(outputs):
    return (
        "train_size=30 model.widths=[4] measure=[error] hardware.jobs=2 "
        f"budget.max_epochs={ENDLESS},2,3 budget.check_every=50 outputs={outputs}"
    ).split()


def start(outputs):
    command = [sys.executable, "-m", "gensweep", "run", "-m", *words(outputs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trainer(run):
    """The process that trains the run and has said how far it is, or None."""
    state = run.state()
    return state["pid"] if state["state"] == "training" and state["progress"] else None


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Three jobs, one of which would never end."""
    outputs = tmp_path_factory.mktemp("sweep")
    return outputs, plan(words(outputs), True).jobs


@pytest.fixture(scope="module")
def killed(jobs):
    """The sweep, after the endless job was killed."""
    outputs, (endless, *_) = jobs
    driver = start(outputs)
    try:
        pid = wait_for(lambda: trainer(endless.run))
        assert pid != driver.pid
        os.kill(pid, signal.SIGKILL)
        out, err = driver.communicate(timeout=60)
    finally:
        driver.kill()
    return driver.returncode, out, err


def test_a_killed_job_takes_no_other_with_it(jobs, killed):
    _, (endless, *others) = jobs
    code, out, err = killed
    assert endless.run.state()["reason"] == "killed by SIGKILL"
    assert [job.finished() for job in others] == [True, True]
    assert [job.run.state()["state"] for job in others] == ["done", "done"]
    assert code == 1
    assert out.endswith("2 done, 0 diverged, 1 failed\n")
    assert f"{endless.run_id} failed: killed by SIGKILL; log: " in err
    assert "Traceback" not in out + err


def test_each_run_keeps_a_log_of_its_own(jobs, killed):
    for job in jobs[1]:
        assert (job.run.folder / "log.txt").exists()
    assert "measured error" in (jobs[1][1].run.folder / "log.txt").read_text()


def test_children_die_with_a_killed_parent(jobs, killed):
    outputs, (endless, *others) = jobs
    before = {job.run_id: json.dumps(job.run.manifest()) for job in others}
    driver = start(outputs)
    try:
        pid = wait_for(lambda: trainer(endless.run))
    finally:
        driver.kill()
    out, _ = driver.communicate(timeout=10)
    assert driver.returncode == -signal.SIGKILL
    assert out.startswith("3 runs: 2 done, 1 to do\n")
    wait_for(lambda: not alive(pid), seconds=10)
    assert endless.run.state()["state"] == "interrupted"
    with Store(outputs).run(endless.run_id).claimed():
        pass  # nobody holds it any more
    assert before == {job.run_id: json.dumps(job.run.manifest()) for job in others}
