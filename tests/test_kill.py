"""F01 and F02: kill -9 at random moments, the same command again, and the numbers are the same to the bit."""

import json
import random
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from safetensors.numpy import load_file

from gensweep.cli import main
from gensweep.sweep.plan import plan
from gensweep.table.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.fault("F01", "O1", "O3", "O4", "O5")]
SETTINGS = """
train_size=60 poison_size=40 poison_factor=0.3 model.widths=[8] budget.max_epochs=300 batch_size=16
budget.keep=70 measure=[error,basin,norms] measure.basin.directions=80
"""
WORDS = SETTINGS.split()
ROUNDS = 20
# What may differ between two runs of the same numbers: when and where.
WHEN_AND_WHERE = ["train_seconds", "seconds"]
# Seconds that a process may go on in its phase: shorter than the phase itself.
PATIENCE = {"training": 0.7, "measuring": 0.3}
MOMENTS = random.Random(7)


def start(outputs):
    command = [sys.executable, "-m", "gensweep", "run", *WORDS, f"outputs={outputs}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def phase(run, process):
    """What this very process says that it is doing, once it is well into it; else None."""
    state = run.state()
    return state["state"] if state.get("pid") == process.pid and state["progress"] else None


def kill_in(run, process, wanted):
    """Kill the process in the phase, at a random moment; False when it was too quick."""
    while process.poll() is None:
        if phase(run, process) == wanted:
            time.sleep(MOMENTS.random() * PATIENCE[wanted])
            process.kill()
            return process.wait() == -signal.SIGKILL and run.state()["state"] == "interrupted"
        time.sleep(0.005)
    return False


def table_of(outputs):
    with pytest.raises(SystemExit):
        main(["collect", "--outputs", str(outputs)])
    return pd.read_parquet(outputs / "table.parquet").drop(columns=WHEN_AND_WHERE)


def solution_sha(run):
    return run.manifest().get("solution.safetensors")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("undisturbed")
    process = start(outputs)
    assert process.wait(timeout=120) == 0
    return outputs


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Outputs of the run that was killed, and for each kill its phase, epoch and solution."""
    outputs = tmp_path_factory.mktemp("disturbed")
    run = plan([*WORDS, f"outputs={outputs}"]).jobs[0].run
    kills, wanted = [], ["training", "training", "measuring"]
    for _ in range(ROUNDS):
        process = start(outputs)
        if wanted:
            if kill_in(run, process, wanted[0]):
                kills.append((wanted.pop(0), run.state()["progress"], solution_sha(run)))
        elif process.wait(timeout=120) == 0:
            return outputs, kills
        process.wait(timeout=120)
    pytest.fail(f"not finished after {ROUNDS} rounds: {kills}")


def only_run(outputs):
    (run,) = Store(outputs).runs()
    return run


def test_it_was_really_killed_in_both_phases(disturbed):
    _, kills = disturbed
    assert [phase for phase, _, _ in kills] == ["training", "training", "measuring"]


def test_the_rows_are_those_of_an_undisturbed_run(disturbed, undisturbed):
    outputs, _ = disturbed
    found, expected = table_of(outputs), table_of(undisturbed)
    assert len(expected) > 1000
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_the_weights_are_those_of_an_undisturbed_run(disturbed, undisturbed):
    for name in ("solution.safetensors", "init.safetensors", "splits.safetensors", "kept.safetensors"):
        found, expected = (load_file(only_run(o).folder / name) for o in (disturbed[0], undisturbed))
        assert found.keys() == expected.keys()
        assert all(found[k].tobytes() == expected[k].tobytes() for k in expected)


def test_training_went_on_where_it_was_and_never_back(disturbed):
    logs = sorted((only_run(disturbed[0]).folder / "log").glob("version_*/metrics.csv"))
    first = [int(pd.read_csv(log)["epoch"].min()) for log in logs if log.stat().st_size]
    assert len(first) >= 2
    assert first == sorted(set(first))


def test_a_committed_solution_is_not_trained_again(disturbed):
    outputs, kills = disturbed
    assert [sha is not None for _, _, sha in kills] == [False, False, True]
    assert kills[-1][2] == solution_sha(only_run(outputs))


def test_nothing_is_left_over(disturbed):
    run = only_run(disturbed[0])
    assert run.state()["state"] == "done"
    assert not list(run.folder.rglob("*.tmp"))
    assert not (run.folder / "last.ckpt").exists()
    assert json.loads((run.folder / "manifest.json").read_text()).keys() == run.manifest().keys()
