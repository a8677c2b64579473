"""F04: what becomes of the others when one process of a sweep dies."""

import os
import signal

import pytest

from tests.waiting import wait_for

pytestmark = pytest.mark.slow
IN_TRAINING = "gensweep.train.task:Task.update@20=wait"


@pytest.mark.fault("F04")
def test_children_of_a_killed_driver_stop_and_the_same_command_finishes(study, fault):
    driver = study.start(env=study.strikes(IN_TRAINING))
    pid = study.waits()
    assert {pid, driver.process.pid} <= set(study.processes())
    driver.send(signal.SIGKILL)
    fault.happened(driver.ended() == -signal.SIGKILL)
    fault.leaves_nobody()
    wait_for(lambda: "interrupted" in [run.state()["state"] for run in study.runs()])
    fault.recovers()


@pytest.mark.fault("F04")
def test_a_killed_run_takes_no_other_with_it(study, fault):
    driver = study.start(env=study.strikes(IN_TRAINING))
    os.kill(study.waits(), signal.SIGKILL)
    fault.ended(driver, 1)
    (killed,) = (run for run in study.runs() if run.state()["state"] == "failed")
    fault.happened(killed.state()["reason"] == "killed by SIGKILL")
    assert len(fault.before) == 4, "two whole runs of two shards"
    fault.says(driver.text, "2 done, 0 diverged, 1 failed", killed.run_id, "killed by SIGKILL", "log: ")
    fault.recovers()
