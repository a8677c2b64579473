"""F05: a sweep is asked to end, in each of its phases."""

import signal

import pytest

from gensweep.train.checkpoint import completed
from tests.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.faults]
SLICE = "gensweep.geometry.risk:Risk.loss_and_accuracy@4"
PHASES = {
    "compose": "gensweep.sweep.grid:grid@1",
    "train": "gensweep.train.task:Task.update@20",
    "measure": SLICE,
    "write": "gensweep.table.atomic:sha256@1",
}


@pytest.mark.fault("F05")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("phase", PHASES)
def test_asked_to_end_it_does_and_the_same_command_goes_on(study, fault, phase, number):
    driver = study.start(env=study.strikes(f"{PHASES[phase]}=wait"))
    study.waits()
    driver.send(number, to_all=number == signal.SIGINT)  # as a queue does it, and as a terminal
    study.go_on()
    fault.ended(driver, 128 + number)
    fault.happened()
    fault.leaves_nobody()
    fault.files_whole()
    if phase == "train":
        left = [run for run in study.runs() if (run.folder / "last.ckpt").exists()]
        assert {run.state()["state"] for run in left} == {"preempted"}
        assert max(completed(run.folder / "last.ckpt") for run in left) >= 19
        fault.says(driver.text, "asked to end by SIG(TERM|INT)", "the same command goes on", "checkpoint")
    fault.recovers(env=study.strikes("gensweep.train.task:Task.update=count"))
    assert study.counted("gensweep.train.task:Task.update") <= 90


@pytest.mark.fault("F05")
def test_a_second_ctrl_c_is_immediate(study, fault):
    driver = study.start(env=study.strikes(f"{PHASES['train']}=hang"))
    wait_for(lambda: study.evidence("hang"))
    driver.send(signal.SIGINT, to_all=True)
    driver.wait_for("asked to end by SIGINT")
    driver.send(signal.SIGINT, to_all=True)
    fault.happened(driver.ended(15) == 130)
    fault.ended(driver, 130)
    fault.leaves_nobody()
    fault.recovers()


@pytest.mark.fault("F05")
def test_a_figure_that_is_cut_off_is_old_or_new(finished, fault):
    assert finished.plain("collect", "--outputs", str(finished.outputs)).ended() == 0
    words = "report", "--outputs", str(finished.outputs)
    command = finished.command(*words, env=finished.strikes("gensweep.table.atomic:write_atomically@1=wait"))
    finished.waits()
    command.send(signal.SIGTERM)
    finished.go_on()
    code = command.ended()
    fault.happened(code in (143, -signal.SIGTERM))
    assert not (finished.outputs / "report.html").exists()
    assert finished.plain(*words).ended() == 0
    fault.recovers()


@pytest.mark.fault("F05")
def test_two_processes_of_one_run_part_together(study, fault):
    study.words = [*study.words[:-2], "seed=0", "hardware=ddp", "hardware.accelerator=cpu"]
    driver = study.start(env=study.strikes(f"{PHASES['train']}=wait"))
    study.waits()
    driver.send(signal.SIGTERM)
    study.go_on()
    fault.ended(driver, 143)
    (run,) = study.runs()
    fault.happened(run.state()["state"] == "preempted")
    assert completed(run.folder / "last.ckpt") >= 19
    fault.leaves_nobody()
    fault.says(driver.text, "asked to end by SIGTERM", "the same command goes on", "checkpoint")
    fault.recovers()
