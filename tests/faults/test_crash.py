"""F25: a process that crashes, or leaves without a word."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.mark.fault("F25")
@pytest.mark.parametrize(
    ("where", "how", "state"),
    [
        ("gensweep.measures.slice:Slice.__call__@1", "segv", "killed by SIGSEGV"),
        ("gensweep.train.task:Task.update@20", "segv", "killed by SIGSEGV"),
        ("gensweep.train.task:Task.update@20", "exit", "it did not end"),
        ("gensweep.measures.error:Error.__call__@1", "exit", "it did not end"),
    ],
)
def test_a_crash_is_named_its_log_stays_and_the_others_go_on(study, fault, where, how, state):
    driver = study.run(env=study.strikes(f"{where}={how}"))
    fault.ended(driver, 1)
    fault.happened(study.evidence(how))
    (run,) = (run for run in study.runs() if run.state()["state"] != "done")
    fault.says(driver.text, run.run_id, state, "log: .*log.txt", "2 done, 0 diverged, 1 failed")
    assert f"{run.run_id} done" not in driver.text
    assert (run.folder / "log.txt").exists()
    fault.recovers()
