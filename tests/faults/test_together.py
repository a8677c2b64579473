"""F07: several sweeps on the same runs."""

import os
import signal
import socket

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]
TRAIN = "gensweep.run:train"


@pytest.mark.fault("F07")
def test_four_sweeps_in_the_same_second_train_every_run_once(study, fault):
    env = study.strikes(f"{TRAIN}=count")
    sweeps = [study.start(env=env) for _ in range(4)]
    codes = [sweep.ended(300) for sweep in sweeps]
    assert set(codes) <= {0, 75}, [sweep.text for sweep in sweeps]
    assert 0 in codes, "the last one finds all done"
    fault.held("O6")
    fault.happened(sum("3 to do" in sweep.text for sweep in sweeps) >= 2)
    assert study.counted(TRAIN) == 3
    fault.recovers()


@pytest.mark.fault("F07")
def test_a_second_sweep_names_the_holder_and_goes_on_when_it_is_dead(study, fault):
    first = study.start("seed=0", env=study.strikes("gensweep.train.task:Task.update@20=wait"))
    holder = study.waits()
    second = study.run("seed=0")
    fault.ended(second, 75)
    run = study.runs()[0].run_id
    fault.says(second.text, run, f"process {holder} on {socket.gethostname()}", "try again later")
    os.kill(holder, signal.SIGKILL)
    fault.happened(first.ended() == 1)
    fault.recovers()
