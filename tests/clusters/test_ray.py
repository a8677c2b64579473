"""Sweeps by a real Ray on this machine, its own and one that runs already."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gensweep.sweep.plan import plan
from tests.clusters.slurm import free_ports
from tests.clusters.sweeps import (
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

pytest.importorskip(
    "hydra_plugins.hydra_ray_launcher", reason="pip install 'gensweep[ray]', or make test-ray"
)
pytestmark = pytest.mark.ray
BY_RAY = "hydra/launcher=ray"


@pytest.fixture(scope="module")
def environment():
    """Ray's files in a folder of their own, and no token in the user's home."""
    folder = tempfile.mkdtemp(prefix="ray")  # short: sockets lie in it
    yield {**os.environ, "RAY_TMPDIR": folder, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("hardware", [[], SHARED], ids=["one process", "two processes"])
def test_ray_makes_the_bits_of_the_local_pool(hardware, environment, tmp_path):
    done(tmp_path / "pool", *SMALL, *hardware)
    out = done(tmp_path / "ray", *SMALL, *hardware, BY_RAY, environment=environment)
    assert out.endswith("2 done, 0 diverged, 0 failed\n")
    assert processes(tmp_path / "ray") == (2 if hardware else 1)
    same(tmp_path / "ray", tmp_path / "pool")
    assert {p.name for p in (tmp_path / "ray").iterdir()} == {"runs", "table.parquet", "table.csv"}


@contextlib.contextmanager
def cluster(environment):
    """The address of a Ray that runs already."""
    (port,) = free_ports(1)
    ray = Path(sys.executable).parent / "ray"
    words = [ray, "start", "--head", "--block", "--num-cpus=4", f"--port={port}", "--include-dashboard=false"]
    head = subprocess.Popen(
        words,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert any("Ray runtime started" in line for line in head.stdout)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait(60)
        head.stdout.close()


def test_a_ray_that_runs_already_is_joined(environment, tmp_path):
    done(tmp_path / "pool", *SMALL)
    with cluster(environment) as address:
        words = [*SMALL, BY_RAY, f"hydra.launcher.ray.init.address={address}"]
        done(tmp_path / "ray", *words, environment=environment)
    same(tmp_path / "ray", tmp_path / "pool")


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_worker_that_dies_has_its_run_go_on_in_another(environment, tmp_path):
    done(tmp_path / "pool", *LONG)
    words = command("-m", *LONG, BY_RAY, f"outputs={tmp_path / 'ray'}")
    driver = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        run = first_training(tmp_path / "ray")
        pid = run.state()["pid"]
        os.kill(parent(parent(pid)), signal.SIGKILL)
        wait_for(lambda: (s := training(run)) and s["pid"] != pid, 120)
        out, err = driver.communicate(timeout=300)
    finally:
        driver.kill()
    assert driver.returncode == 0, out + err
    assert epochs_never_go_back(run)
    same(tmp_path / "ray", tmp_path / "pool")


def test_a_run_that_is_killed_takes_no_other_with_it(environment, tmp_path):
    words = [*SMALL[:-1], "budget.max_epochs=1000000,2,3", "budget.check_every=50", f"outputs={tmp_path}"]
    endless, *others = plan(words, True).jobs
    driver = subprocess.Popen(
        command("-m", *words, BY_RAY),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        pid = wait_for(lambda: training(endless.run), 120)["pid"]
        os.kill(pid, signal.SIGKILL)
        out, err = driver.communicate(timeout=120)
    finally:
        driver.kill()
    assert driver.returncode == 1, out + err
    assert out.endswith("2 done, 0 diverged, 1 failed\n")
    assert f"{endless.run_id} failed: killed by SIGKILL" in err
    assert all(job.finished() for job in others)
