"""F01 and F02: a process is killed at an exact place of a training, and of a measure."""

import pytest

pytestmark = pytest.mark.slow
UPDATE = "gensweep.train.task:Task.update"
POINT = "gensweep.geometry.risk:Risk.loss_and_accuracy"  # of the surface; no other measure asked for takes it
EVERY_ANSWER = "gensweep.blocks:EVERY=zero"  # is a block


def victim(study):
    """The one run whose process was killed."""
    (run,) = (run for run in study.runs() if run.state()["state"] == "failed")
    assert run.state()["reason"] == "killed by SIGKILL"
    return run


@pytest.mark.faults
@pytest.mark.fault("F01")
def test_training_goes_on_from_the_last_epoch(study, fault):
    driver = study.start(env=study.strikes(f"{UPDATE}@20=kill"))
    fault.ended(driver, 1)
    fault.happened(study.evidence("kill"))
    run = victim(study)
    fault.says(driver.text, run.run_id, "killed by SIGKILL", "log: .*log.txt", "1 failed")
    assert (run.folder / "last.ckpt").exists()
    fault.files_whole()
    fault.recovers(env=study.strikes(f"{UPDATE}=count"))
    assert study.counted(UPDATE) == 30 - 19, "epochs 1 to 19 were in the checkpoint, and two runs were done"


@pytest.mark.fault("F02")
def test_a_killed_measure_keeps_its_blocks_and_nothing_is_trained_again(study, fault):
    driver = study.start(env=study.strikes(EVERY_ANSWER, f"{POINT}@4=kill"))
    fault.ended(driver, 1)
    fault.happened(study.evidence("kill"))
    run = victim(study)
    fault.says(driver.text, run.run_id, "killed by SIGKILL", "log: .*log.txt", "1 failed")
    assert run.state()["progress"] == "", "the driver has had the last word"
    assert len(list(run.folder.glob(".blocks/*/*"))) == 3
    solution = (run.folder / "solution.safetensors").stat()
    fault.recovers(env=study.strikes(f"{POINT}=count", "gensweep.run:train=count"))
    assert study.counted(POINT) == 8 - 3, "of the points of the slice, three were kept"
    assert study.counted("gensweep.run:train") == 0
    assert (run.folder / "solution.safetensors").stat().st_mtime_ns == solution.st_mtime_ns
    assert not (run.folder / ".blocks").exists()
