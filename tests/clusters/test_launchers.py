"""Sweeps by the launchers of others: the tables of the local pool, whatever dies on the way."""

import os
import signal
import subprocess

import pytest

from gensweep.sweep.plan import plan
from gensweep.table.store import Store
from tests.clusters.sweeps import (
    BY_TASKS,
    LONG,
    SHARED,
    SMALL,
    command,
    done,
    epochs_never_go_back,
    first_training,
    processes,
    same,
    training,
)
from tests.waiting import wait_for

pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="pip install 'gensweep[joblib]'")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install 'gensweep[submitit]'")
pytestmark = pytest.mark.slow
TASKS = ["hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2", *BY_TASKS]
# Who starts a run that two processes share: one way of each kind here, the others in `make test-slurm`.
SHARING = {
    "joblib with two workers": ["hydra/launcher=joblib", "hardware.jobs=2", *SHARED],
    "two tasks of submitit_local": TASKS,
}
OTHER_SHARING = {
    "joblib in the main process": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", *SHARED],
    "one task of submitit_local": ["hydra/launcher=submitit_local", *SHARED],
    "the basic launcher": ["hydra/launcher=basic", *SHARED],
}
rare = [pytest.param(name, marks=pytest.mark.slurm) for name in OTHER_SHARING]
ENDLESS = "budget.max_epochs=1000000,2,3"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """What the local pool makes with two processes a run."""
    outputs = tmp_path_factory.mktemp("shared")
    done(outputs, *SMALL, *SHARED)
    return outputs


@pytest.mark.parametrize("name", [*SHARING, *rare])
def test_two_processes_make_the_bits_of_the_local_pool(name, shared, tmp_path):
    out = done(tmp_path, *SMALL, *(SHARING | OTHER_SHARING)[name])
    assert out.endswith("2 done, 0 diverged, 0 failed\n")
    assert processes(tmp_path) == 2
    same(tmp_path, shared)
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "table.parquet", "table.csv"}


@pytest.mark.slurm
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "basic"])
def test_one_process_makes_the_bits_of_the_local_pool(launcher, tmp_path):
    done(tmp_path / "pool", *SMALL)
    done(tmp_path / "other", *SMALL, f"hydra/launcher={launcher}")
    same(tmp_path / "other", tmp_path / "pool")


def test_a_run_killed_in_a_worker_of_joblib_takes_no_other_with_it(tmp_path):
    words = [*SMALL[:-1], ENDLESS, "hydra/launcher=joblib", "budget.check_every=50", f"outputs={tmp_path}"]
    endless, *others = plan([w for w in words if "launcher" not in w], True).jobs
    driver = subprocess.Popen(
        command("-m", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        pid = wait_for(lambda: training(endless.run), 120)["pid"]
        os.kill(pid, signal.SIGKILL)
        out, err = driver.communicate(timeout=120)
    finally:
        driver.kill()
    assert endless.run.state()["reason"] == "killed by SIGKILL"
    assert all(job.finished() for job in others)
    assert driver.returncode == 1
    assert out.endswith("2 done, 0 diverged, 1 failed\n")
    log = endless.run.folder / "log.txt"
    assert f"{endless.run_id} failed: killed by SIGKILL; log: {log}  " in out  # the moment it happened
    assert f"{endless.run_id} failed: killed by SIGKILL; log: {log}\n" in err
    assert log.exists()
    assert "Traceback" not in out + err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("undisturbed")
    done(outputs, *LONG)
    return outputs


def worker_of(pid):
    """The worker of submitit above a process of a run: child, fork server, worker."""
    for _ in range(2):
        with open(f"/proc/{pid}/stat") as stat:
            pid = int(stat.read().rpartition(")")[2].split()[1])
    return pid


@pytest.mark.slurm
def test_a_worker_that_is_told_to_go_leaves_a_checkpoint_and_is_queued_again(tmp_path, undisturbed):
    words = [*LONG, "hydra/launcher=submitit_local", f"outputs={tmp_path}"]
    driver = subprocess.Popen(command("-m", *words), stdout=subprocess.PIPE, text=True)
    try:
        run = first_training(tmp_path)
        pid = run.state()["pid"]
        os.kill(worker_of(pid), signal.SIGUSR2)
        again = wait_for(lambda: (s := training(run)) and s["pid"] != pid and s, 120)
        assert again["pid"] != pid
        driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0
    assert epochs_never_go_back(run)
    same(tmp_path, undisturbed)


@pytest.mark.slurm
def test_a_worker_that_is_killed_is_told_of_and_the_others_are_waited_for(tmp_path):
    words = [*SMALL[:-1], "budget.max_epochs=1000000,400,401", "hydra/launcher=submitit_local"]
    words += ["budget.check_every=50", f"outputs={tmp_path}"]
    endless, *others = plan([w for w in words if "launcher" not in w], True).jobs
    driver = subprocess.Popen(
        command("-m", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        pid = wait_for(lambda: training(endless.run), 120)["pid"]
        os.kill(worker_of(pid), signal.SIGKILL)
        assert not all(job.finished() for job in others)
        out, err = driver.communicate(timeout=200)
    finally:
        driver.kill()
    assert driver.returncode == 1
    assert out.endswith("2 done, 0 diverged, 1 failed\n")
    assert "hydra_submitit_launcher: Job " in err
    assert f"{endless.run_id} interrupted: " in err
    assert all(job.finished() for job in others)
    done(tmp_path, *[w for w in words[:-1] if "launcher" not in w], "budget.max_epochs=400,401")


def test_hardware_names_no_run_and_a_grid_over_it_says_so(tmp_path):
    out = done(tmp_path, *SMALL[:-1], "hardware.processes=1,2", "hydra/launcher=joblib")
    assert (
        "1 runs: 0 done, 1 to do, 1 named twice in other hardware, which names no run: the first is made"
        in out
    )
    assert len(Store(tmp_path).runs()) == 1
    assert processes(tmp_path) == 1


@pytest.mark.slurm
def test_an_experiment_with_files_of_the_users_own_goes_through_a_launcher(tmp_path, monkeypatch):
    """A grid in a yaml file, a network of a package in the current directory, outputs by a relative path."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "mynets.py": (
            "import torch\n\n\nclass Net(torch.nn.Sequential):\n"
            "    def __init__(self, input_shape, num_classes, width):\n"
            "        n = torch.Size(input_shape).numel()\n"
            "        super().__init__(torch.nn.Flatten(), torch.nn.Linear(n, width), torch.nn.ReLU(),\n"
            "                         torch.nn.Linear(width, num_classes))\n"
        ),
        "mine/model/net.yaml": "_target_: mynets.Net\nname: net\nwidth: 5\n",
        "mine/experiment/wide.yaml": (
            "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      model.width: 5,6\n"
        ),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    words = ["experiment=wide", "model=net", "trusted_targets=[mynets]", "train_size=40", "measure=[error]"]
    words += ["budget.max_epochs=2", "--config-dir", "mine"]
    for launcher in ("gensweep", "joblib", "submitit_local"):
        run = command(*words, f"hydra/launcher={launcher}", f"outputs=out/{launcher}")
        ended = subprocess.run(run, capture_output=True, text=True, timeout=200)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert ended.stdout.endswith("2 done, 0 diverged, 0 failed\n")
        same(tmp_path / "out" / launcher, tmp_path / "out" / "gensweep")
    assert {p.name for p in tmp_path.iterdir()} <= {"mine", "mynets.py", "out", "__pycache__"}
