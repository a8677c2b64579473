"""F24 and F26: out of memory, and out of time."""

import os
import signal

import pytest

from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.faults]
UPDATE = "gensweep.train.task:Task.update@20"
SLICE = "gensweep.geometry.risk:Risk.loss_and_accuracy@4"


def of_state(study, state):
    (run,) = (run for run in study.runs() if run.state()["state"] == state)
    return run


@pytest.mark.fault("F24")
def test_a_run_without_memory_is_told_apart_and_the_rest_go_on(study, fault):
    driver = study.run(env=study.strikes(f"{UPDATE}=memory"))
    fault.ended(driver, 1)
    fault.happened(study.evidence("memory"))
    run = of_state(study, "oom")
    fault.says(driver.text, run.run_id, "oom: out of memory", "log: .*log.txt", "smaller network or batch")
    assert "2 done, 0 diverged, 1 failed" in driver.text
    fault.recovers()


@pytest.mark.fault("F24")
def test_a_real_limit_on_memory_is_told_apart_too(study, fault, tmp_path):
    """A network that does not fit into the address space that this process may take."""
    study.outputs = tmp_path / "large"
    words = ["train_size=40", "model.widths=[20000,20000]", "measure=[error]", "budget.max_epochs=2"]
    limit = ["prlimit", f"--as={5 * 2**30}"]
    command = study.run(words=words, verb=("run",), before=limit)
    fault.ended(command, 1)
    run = of_state(study, "oom")
    fault.happened(run.state()["state"] == "oom")
    fault.says(command.text, run.run_id, "out of memory", "log: .*log.txt", "smaller network or batch")


@pytest.mark.fault("F26")
@pytest.mark.parametrize("how", ["hang", "stop"])
@pytest.mark.parametrize("where", [UPDATE, SLICE])
def test_what_hangs_past_its_limit_is_killed_and_the_rest_go_on(study, fault, where, how):
    env = study.strikes("gensweep.blocks:EVERY=zero", f"{where}={how}")
    driver = study.run("hardware.time_limit=6", env=env)
    fault.ended(driver, 1)
    fault.happened(study.evidence(how))
    fault.leaves_nobody()
    run = of_state(study, "timeout")
    fault.says(
        driver.text,
        run.run_id,
        "took longer than hardware.time_limit=6",
        "log: .*log.txt",
        "same command goes on",
    )
    if where == SLICE:
        assert len(list(run.folder.glob(".blocks/*/*"))) == 3, "the partial grid is kept"
    fault.recovers(env=study.strikes("gensweep.geometry.risk:Risk.loss_and_accuracy=count"))
    if where == SLICE:
        assert study.counted("gensweep.geometry.risk:Risk.loss_and_accuracy") == 5


@pytest.mark.fault("F26")
def test_a_stopped_rank_of_two_is_late_for_both(study, fault):
    study.words = [
        *study.words[:-2],
        "seed=0",
        "hardware=ddp",
        "hardware.accelerator=cpu",
        "hardware.time_limit=20",
    ]
    driver = study.start(env=study.strikes(f"{UPDATE}=wait"))
    first = study.waits()
    os.kill(first, signal.SIGSTOP)
    study.go_on()
    fault.ended(driver, 1)
    fault.happened(wait_for(lambda: of_state(study, "timeout")))
    fault.leaves_nobody()
    fault.recovers()
