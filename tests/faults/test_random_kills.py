"""A sweep of 24 runs whose processes are killed at random until it is done."""

import os
import random
import signal
import time

import pytest

from tests.faults import oracles

pytestmark = [pytest.mark.slow, pytest.mark.faults]
WORDS = (
    "train_size=40 model.widths=[4] measure=[error,basin] measure.basin.directions=20 "
    "measure.basin.replicates=1 budget.max_epochs=200 seed=range(24) hardware.jobs=2"
)
KILLS, SESSIONS = 30, 80


def trained(study):
    """Run → when its solution was written."""
    paths = [run.folder / "solution.safetensors" for run in study.runs() if run.trained()]
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


def strike(study, dice):
    """Kill -9 of one of its processes, whichever; whether there was one."""
    processes = study.processes()
    if not processes:
        return False
    try:
        os.kill(dice.choice(processes), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.fault("F01")
def test_killed_at_random_thirty_times_it_ends_with_the_same_table(study, fault):
    study.words, dice, kills, known = WORDS.split(), random.Random(5), 0, {}
    for _ in range(SESSIONS):
        driver = study.start()
        while driver.process.poll() is None and kills < KILLS:
            time.sleep(dice.random() * 3)
            kills += strike(study, dice)
        code = driver.ended(600)
        now = trained(study)
        assert known.items() <= now.items(), "a solution that was there is another one, or gone"
        oracles.nothing_lost(fault.before, study.rows())
        fault.before, known = study.rows(), now
        if code == 0:
            break
        fault.leaves_nobody()
    assert code == 0
    fault.happened(kills >= KILLS)
    fault.recovers()
    assert known == trained(study), "what was done has not been trained again"
