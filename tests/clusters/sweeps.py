"""The same small sweep by every launcher, and what is compared of its results."""

import os
import subprocess
import sys

import pandas as pd
import pytest
from safetensors.numpy import load_file

from gensweep.cli import main
from gensweep.table.store import Store
from tests.waiting import wait_for

SMALL = [
    "train_size=40",
    "poison_size=20",
    "poison_factor=0.3",
    "model.widths=[6]",
    "batch_size=16",
    "budget.max_epochs=3",
    "measure=[error,norms]",
    "seed=0,1",
]
# Long enough to be disturbed on its way.
LONG = [
    "train_size=300",
    "poison_size=40",
    "poison_factor=0.3",
    "model.widths=[8]",
    "batch_size=32",
    "budget.max_epochs=1200",
    "measure=[error,norms]",
]
SHARED = ["hardware=ddp", "hardware.accelerator=cpu"]
BY_TASKS = ["hardware=slurm", "hardware.accelerator=cpu"]
# What may differ between two runs of the same numbers: when, where, and a commit made in the meantime.
WHEN_AND_WHERE = ["train_seconds", "seconds", "git_sha", "git_dirty"]


def command(*words):
    return [sys.executable, "-m", "gensweep", "run", *words]


def swept(outputs, *words, environment=None, by=()):
    """A whole sweep: its exit code, output and complaints."""
    run = [*by, *command("-m", *words, f"outputs={outputs}")]
    done = subprocess.run(run, capture_output=True, text=True, timeout=400, env=environment or os.environ)
    return done.returncode, done.stdout, done.stderr


def done(outputs, *words, **how):
    """The output of a sweep that must end well."""
    code, out, err = swept(outputs, *words, **how)
    assert code == 0, out + err
    return out


def table(outputs):
    with pytest.raises(SystemExit):
        main(["collect", "--outputs", str(outputs)])
    return pd.read_parquet(outputs / "table.parquet").drop(columns=WHEN_AND_WHERE)


def same(one, other):
    """Equal to the bit, rows and weights."""
    pd.testing.assert_frame_equal(table(one), table(other), check_exact=True)
    runs = Store(one).runs()
    assert len(runs) > 0
    for run in runs:
        ours, theirs = (load_file(o / "runs" / run.run_id / "solution.safetensors") for o in (one, other))
        assert all(ours[k].tobytes() == theirs[k].tobytes() for k in ours)


def processes(outputs):
    (count,) = table(outputs).processes.unique()
    return count


def training(run):
    """The state of a run whose process has said how far it is, or None."""
    state = run.state()
    return state if state["state"] == "training" and state["progress"] else None


def first_training(outputs):
    """The first run under way below this folder, once it is well into training."""
    return wait_for(lambda: next((run for run in Store(outputs).runs() if training(run)), None), 120)


def epochs_never_go_back(run):
    """Whether each training began where the one before it was, and there were several."""
    logs = sorted((run.folder / "log").glob("version_*/metrics.csv"))
    first = [int(pd.read_csv(log)["epoch"].min()) for log in logs if log.stat().st_size]
    return len(first) > 1 and first == sorted(set(first))
