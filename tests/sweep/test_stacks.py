"""A sweep that trains stacks ends as one that trains one by one."""

import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from gensweep.cli import main
from gensweep.errors import InputError
from gensweep.sweep.plan import plan
from gensweep.sweep.stacks import OWN_DATA, stacks
from gensweep.table.store import TRAINED, Store
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
TINY = "train_size=90 poison_size=40 poison_factor=0.3 model.widths=[8] measure=[error,norms]"


def jobs(*words):
    return plan((*TINY.split(), *words), True).jobs


def sizes(*words):
    return [len(stack) for stack in stacks(jobs(*words))]


def test_what_differs_in_its_seed_alone_makes_a_stack():
    found = stacks(jobs("poison_factor=0,0.3", "seed=range(4)", "data_seed=0", "hardware.stack=9"))
    assert [len(stack) for stack in found] == [4, 4]
    for stack in found:
        assert {job.config["poison_factor"] for job in stack} == {stack[0].config["poison_factor"]}
        assert [job.config["seed"] for job in stack] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("seeds", "limit", "expected"),
    [(10, 100, [10]), (10, 10, [10]), (10, 9, [5, 5]), (10, 3, [2, 3, 2, 3]), (3, 2, [2]), (1, 9, [])],
)
def test_stacks_are_few_and_even(seeds, limit, expected):
    assert sizes(f"seed=range({seeds})", "data_seed=0", f"hardware.stack={limit}") == expected


def test_stacks_with_data_of_their_own_are_small():
    assert sizes("seed=range(20)", "hardware.stack=100") == [6, 7, 7]
    assert OWN_DATA == 8


@pytest.mark.parametrize(
    "override", ["hardware.stack=1", "model=keskar_f1", "augment=true", "optim.lr=0.1,0.2", "seed=0"]
)
def test_what_cannot_be_stacked_is_not(override):
    words = TINY.replace("model.widths=[8]", "").split()
    assert stacks(plan((*words, "seed=0,1", "hardware.stack=9"), True).jobs)
    found = stacks(plan((*words, "seed=0,1", "hardware.stack=9", override), True).jobs)
    assert [len(stack) for stack in found] == ([2, 2] if "lr" in override else [])


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "null"])
def test_a_stack_is_a_whole_number_of_networks(value):
    with pytest.raises(InputError, match=r"hardware.stack=.* is not a whole number, 1 or more"):
        jobs("seed=0,1", f"hardware.stack={value}")


GRID = ["budget.max_epochs=30", "batch_size=16", "seed=range(4)", "data_seed=null,0"]


def gensweep(*words):
    command = [sys.executable, "-m", "gensweep", "run", "-m", *TINY.split(), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """What the sweep printed and left behind, with stacks of one and of six."""
    left = []
    for stack in (1, 6):
        outputs = tmp_path_factory.mktemp(f"stack{stack}")
        process = gensweep(*GRID, f"hardware.stack={stack}", f"outputs={outputs}")
        left.append((outputs, *process.communicate(timeout=120), process.returncode))
    return left


def test_a_stacked_sweep_says_what_it_did(both):
    (_, alone, *ends), (_, stacked, *others) = both
    assert ends == others == ["", 0]
    assert stacked.startswith(
        "8 runs: 0 done, 8 to do\n[stack 1/2] 4 of 4 networks trained\n[stack 2/2] 4 of 4"
    )
    assert alone.endswith("8 done, 0 diverged, 0 failed\n")
    assert stacked.endswith("8 done, 0 diverged, 0 failed\n")
    assert "stack 1" not in alone


def table_of(outputs):
    with pytest.raises(SystemExit):
        main(["collect", "--outputs", str(outputs)])
    return pd.read_parquet(outputs / "table.parquet").drop(columns=["train_seconds", "seconds"])


def test_its_table_is_that_of_runs_one_by_one(both):
    alone, stacked = (table_of(outputs) for outputs, *_ in both)
    assert len(alone) == 8 * 29
    assert alone["run_id"].nunique() == 8
    pd.testing.assert_frame_equal(alone, stacked, check_exact=False, rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError):  # to the bit it is not: they were really trained in another way
        pd.testing.assert_frame_equal(alone, stacked, check_exact=True)


def test_every_run_keeps_a_log_and_no_more_than_a_run_alone(both):
    (alone, *_), (stacked, *_) = both
    for run in Store(stacked).runs():
        assert (run.folder / "log.txt").read_text().startswith("trained in a stack: 30 epochs, 180 updates\n")
        assert run.state()["state"] == "done"
        names = {p.name for p in run.folder.rglob("*") if p.is_file()}
        assert names - {"log.txt"} <= {p.name for p in (alone / "runs" / run.run_id).rglob("*")}


LONG = ["budget.max_epochs=40", "budget.check_every=40", "batch_size=2", "data_seed=0"]


def trainer(run):
    """The process that trains the run in a stack, or None."""
    state = run.state()
    return state["pid"] if state["state"] == "training" and "in a stack of 3" in state["progress"] else None


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_kill_9_loses_nothing_and_the_same_command_finishes(tmp_path):
    words = (*LONG, "seed=range(3)", "hardware.stack=3")
    runs = [job.run for job in jobs(*words, f"outputs={tmp_path}")]
    driver = gensweep(*words, f"outputs={tmp_path}")
    pid = wait_for(lambda: trainer(runs[-1]))
    driver.kill()  # first the parent: the stack dies with it
    driver.communicate(timeout=10)
    wait_for(lambda: not alive(pid), seconds=10)
    assert [run.manifest() for run in runs] == [{}] * 3
    assert [run.state()["state"] for run in runs] == ["interrupted"] * 3
    driver = gensweep(*words, f"outputs={tmp_path}")
    os.kill(wait_for(lambda: trainer(runs[-1])), signal.SIGKILL)  # then the stack: the pool does its work
    out, err = driver.communicate(timeout=120)
    assert (driver.returncode, err) == (0, "")
    assert "[stack 1/1] 0 of 3 networks trained, then it was killed by SIGKILL; log: " in out
    assert out.endswith("3 done, 0 diverged, 0 failed\n")
    assert [run.has(*TRAINED) for run in runs] == [True] * 3


def test_a_stack_that_fails_says_why_and_leaves_its_runs_to_the_pool(tmp_path):
    outputs = tmp_path / "outputs"
    words = ("seed=0,1", "data_seed=0", "hardware.stack=2", "budget.max_epochs=2", f"outputs={outputs}")
    first, second = (job.run for job in jobs(*words))
    second.folder.parent.mkdir(parents=True)
    second.folder.touch()  # neither the stack nor the pool can make a folder of it
    process = gensweep(*words)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "[stack 1/1] 0 of 2 networks trained, then it failed; log: " in out
    assert "FileExistsError" in (first.folder / "log.txt").read_text()
    assert "1 done, 0 diverged, 1 failed" in out
