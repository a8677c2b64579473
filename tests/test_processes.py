"""A run shared by two processes: the rows of one, whoever starts them, and nobody left when one dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from gensweep.cli import main
from gensweep.rows import QUANTITIES
from gensweep.sweep.plan import plan
from gensweep.table.store import Store
from tests.waiting import wait_for

pytestmark = pytest.mark.slow
# Batch norm, crops, a poison set, and every measure; float64, so that only the order of sums differs.
MEASURED = """
model=cnn model.width=2 train_size=41 confusion_size=6 poison_size=30 poison_factor=0.3 batch_size=16
augment=true budget.max_epochs=4 optim.lr=0.02 precision=float64
measure.basin.directions=4 measure.basin.replicates=1 measure.basin.particles=10 measure.basin.moves=2
measure.basin.rank=2 measure.surface.points=3 measure.hessian_ratio.points=2 measure.slice.points=3
measure.slice.batch_norm=batch measure.surface.batch_norm=reestimated
measure.llc.draws=20 measure.spectrum.steps=10 measure.expected_sharpness.draws=4 measure.perturbation.draws=4
measure.adaptive_sharpness.steps=3 measure.adaptive_sharpness.starts=2 measure.adaptive_sharpness.block=20
measure.box_sharpness.subspace=5 measure.box_sharpness.steps=5
"""
# The relative tolerance of a number of two processes against that of one, in float64.
TOLERANCE = 1e-6
SETTINGS = """
model.widths=[8] train_size=60 poison_size=40 poison_factor=0.3 batch_size=16 budget.max_epochs=150
measure=[error,norms,basin] measure.basin.directions=10 measure.basin.replicates=0
measure.basin.rank=0
"""
EVERY = [
    *MEASURED.split(),
    "measure=[" + ",".join(m for m in sorted(QUANTITIES) if not m.endswith("boundary")) + "]",
]
SHORT = SETTINGS.split()
BARE = [*(w for w in SHORT if not w.startswith("measure")), "measure=[error]"]


def command(words, *, torchrun=0, multirun=False):
    by = [sys.executable, "-m"]
    if torchrun:
        by += ["torch.distributed.run", f"--nproc-per-node={torchrun}", "-m"]
    return [*by, "gensweep", "run", *(["-m"] if multirun else []), *words]


def finished(words, **how):
    done = subprocess.run(command(words, **how), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def table_of(outputs):
    with pytest.raises(SystemExit):
        main(["collect", "--outputs", str(outputs)])
    return pd.read_parquet(outputs / "table.parquet")


def weights(outputs):
    (run,) = Store(outputs).runs()
    return {
        name: tensor
        for file in ("solution.safetensors", "init.safetensors")
        for name, tensor in load_file(run.folder / file).items()
    }


@pytest.fixture(scope="module")
def alone_and_shared(tmp_path_factory):
    """Outputs of one experiment run by one process and by two."""
    alone, shared = (tmp_path_factory.mktemp(name) for name in ("alone", "shared"))
    finished([*EVERY, f"outputs={alone}"])
    finished([*EVERY, "hardware=ddp", f"outputs={shared}"])
    return alone, shared


def test_two_processes_train_the_weights_of_one(alone_and_shared):
    alone, shared = map(weights, alone_and_shared)
    assert alone.keys() == shared.keys()
    for name in alone:
        assert np.allclose(alone[name], shared[name], rtol=1e-9, atol=1e-11), name


def test_every_measure_of_two_processes_is_that_of_one(alone_and_shared):
    alone, shared = map(table_of, alone_and_shared)
    assert (alone.processes.unique(), shared.processes.unique()) == ([1], [2])
    assert alone.measure.nunique() == 19
    assert alone.run_id.unique() == shared.run_id.unique()
    same = ["measure", "quantity", "split", "index", "status", "unit"]
    pd.testing.assert_frame_equal(alone[same], shared[same])
    numbers = ["x", "y", "value", "stderr"]
    # What converges until it is small enough ends a little lower or higher: eigenvalues near 0, residuals.
    floor = np.where(alone.measure.isin(["spectrum", "hessian_ratio"]), 1e-6, 1e-9)
    floor = np.where(alone.quantity == "residual", 1e-4, floor)
    for column in numbers:
        one, two = alone[column].to_numpy(), shared[column].to_numpy()
        assert (np.isnan(one) == np.isnan(two)).all()
        off = np.abs(one - two) > floor + TOLERANCE * np.abs(one)
        assert not off.any(), alone[off].assign(of_two=two[off])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("undisturbed")
    finished([*SHORT, "hardware=ddp", f"outputs={outputs}"])
    return outputs


def test_under_torchrun_the_same_command_makes_the_same_bits(undisturbed, tmp_path):
    finished([*SHORT, "hardware=ddp", f"outputs={tmp_path}"], torchrun=2)
    ours, theirs = weights(undisturbed), weights(tmp_path)
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    pd.testing.assert_frame_equal(*(numbers(table_of(o)) for o in (undisturbed, tmp_path)), check_exact=True)


def numbers(table):
    return table.drop(columns=["train_seconds", "seconds"])


def test_tasks_of_slurm_make_the_same_bits(undisturbed, tmp_path):
    """Two tasks of one step on this machine, by the variables that srun sets."""
    step = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NNODES": "1"}
    step |= {"SLURM_STEP_NODELIST": "localhost", "SLURM_JOB_NAME": "sweep"}
    words = command([*SHORT, "hardware=slurm", f"outputs={tmp_path}"])
    tasks = [
        subprocess.Popen(words, env={**os.environ, **step, "SLURM_PROCID": n, "SLURM_LOCALID": n})
        for n in "01"
    ]
    assert [task.wait(timeout=120) for task in tasks] == [0, 0]
    ours, theirs = weights(undisturbed), weights(tmp_path)
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


def test_a_sweep_under_torchrun_goes_through_its_runs_together(tmp_path):
    words = [
        *SHORT,
        "budget.max_epochs=2",
        "seed=0,1",
        "measure=[error]",
        "hardware=ddp",
        f"outputs={tmp_path}",
    ]
    words = [w for w in words if not w.startswith("measure.")]
    out = finished(words, torchrun=2, multirun=True)
    assert "2 runs: 2 to do, by 2 processes" in out
    assert out.count("2 done, 0 diverged, 0 failed") == 1
    assert len(Store(tmp_path).runs()) == 2
    assert table_of(tmp_path).processes.unique() == [2]
    assert "2 runs: 0 to do" in finished(words, torchrun=2, multirun=True)


def test_processes_that_nobody_asked_for_are_refused(tmp_path):
    done = subprocess.run(
        command([*SHORT, f"outputs={tmp_path / 'none'}"], torchrun=2),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "torchrun started 2 processes for one that is alone; add hardware=ddp" in done.stderr
    assert not (tmp_path / "none").exists()


def group(driver):
    """The processes that run the shared run: those of the driver's session that hold gensweep's code."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
        except (OSError, IndexError):
            continue
        if session == driver and not zombie(folder):
            found.append(int(folder.name))
    return found


def zombie(folder):
    return (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"


def working(run):
    """The state of a run whose processes have said how far they are, or None."""
    state = run.state()
    return state if state["state"] == "training" and state["progress"] else None


def ranks_of(pid):
    """Processes that are children of the one that started ``pid``, the ranks of a group, by start."""
    parent = parent_of(pid)
    children = [int(f.name) for f in Path("/proc").glob("[0-9]*") if parent_of(int(f.name)) == parent]
    return sorted(children)


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


@pytest.mark.fault("F04", "O4", "O5", "O6", "O7")
@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_is_killed_all_end_and_the_same_command_finishes(victim, undisturbed, tmp_path):
    words = [*SHORT, "hardware=ddp", f"outputs={tmp_path}"]
    run = plan(words).jobs[0].run
    driver = subprocess.Popen(
        command(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        writer = wait_for(lambda: working(run), 60)["pid"]
        others = [p for p in ranks_of(writer) if p != writer]
        assert len(others) == 1  # two processes share the run
        started = time.monotonic()
        if victim == 0:
            os.kill(others[0], signal.SIGSTOP)  # it cannot even notice
        os.kill([writer, *others][victim], signal.SIGKILL)
        _, err = driver.communicate(timeout=10)
        wait_for(lambda: not group(driver.pid), 10 - (time.monotonic() - started))
    finally:
        driver.kill()
    assert driver.returncode == 1
    state = run.state()
    assert state["state"] == "failed"
    assert state["reason"] == f"process {victim + 1} of 2 was killed by SIGKILL"
    assert "Traceback" not in err
    finished(words)
    ours, theirs = weights(undisturbed), weights(tmp_path)
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)
    pd.testing.assert_frame_equal(*(numbers(table_of(o)) for o in (undisturbed, tmp_path)), check_exact=True)


def test_what_two_began_one_can_finish(undisturbed, tmp_path):
    """The checkpoint of two processes is one that one process goes on from."""
    words = [*SHORT, f"outputs={tmp_path}"]
    run = plan(words).jobs[0].run
    driver = subprocess.Popen(
        command([*words, "hardware=ddp"]), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: working(run), 60)
    finally:
        driver.kill()
    driver.wait(10)
    wait_for(lambda: run.state()["state"] == "interrupted", 10)
    assert (run.folder / "last.ckpt").exists()
    finished(words)
    ours, theirs = weights(undisturbed), weights(tmp_path)
    assert all(np.allclose(ours[name], theirs[name], atol=1e-3) for name in ours)


def test_a_run_that_diverges_ends_for_both(tmp_path):
    words = [*BARE, "optim=sgd", "optim.lr=1e30", "hardware=ddp", f"outputs={tmp_path}"]
    done = subprocess.run(command(words), capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stdout.count("diverged: the objective became") == 1
    (run,) = Store(tmp_path).runs()
    assert run.diverged()
