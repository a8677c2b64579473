"""Sweeps under a real Slurm: one array, its tables, and what becomes of runs that it takes the place from."""

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from gensweep.sweep.plan import plan
from tests.clusters import slurm as clusters
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

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="pip install 'gensweep[submitit]'")
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(bool(clusters.missing()), reason=f"no Slurm here: {clusters.missing()}"),
]
BY_SLURM = "hydra/launcher=submitit_slurm"
SIGNAL_TO_USER = "SlurmctldParameters=preempt_send_user_signal"


@pytest.fixture(scope="module")
def slurm():
    with tempfile.TemporaryDirectory(prefix="gs", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # munge wants its socket where everybody may look
        with clusters.Slurm(folder) as cluster:
            yield cluster


@pytest.fixture(autouse=True)
def _empty_queue(slurm):
    yield
    slurm.call("scancel", "--user=root")
    wait_for(lambda: not slurm.jobs() and slurm.states() == ["idle", "idle"], 60)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """What the local pool makes of the small sweep."""
    outputs = tmp_path_factory.mktemp("pooled")
    done(outputs, *SMALL)
    return outputs


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same, two processes a run."""
    outputs = tmp_path_factory.mktemp("shared")
    done(outputs, *SMALL, *SHARED)
    return outputs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("undisturbed")
    done(outputs, *LONG)
    return outputs


@pytest.fixture(scope="module")
def undisturbed_pair(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("undisturbed-pair")
    done(outputs, *LONG, "budget.max_epochs=400", *SHARED)
    return outputs


def known(slurm):
    """What Slurm remembers of its jobs, one text each."""
    return slurm.call("scontrol", "show", "job", "--all").split("\n\n")


def restarts(slurm, job):
    words = slurm.call("scontrol", "show", "job", str(job)).split()
    return int(next(word for word in words if word.startswith("Restarts=")).partition("=")[2])


def started(slurm, outputs, *words):
    """A sweep under way, in a process of its own."""
    return subprocess.Popen(
        command("-m", *words, BY_SLURM, f"outputs={outputs}"),
        env=slurm.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_sweep_is_one_array_with_the_table_of_the_local_pool(slurm, pooled, tmp_path):
    out = done(tmp_path, *SMALL, BY_SLURM, environment=slurm.environment)
    assert out.endswith("2 done, 0 diverged, 0 failed\n")
    jobs = [text for text in known(slurm) if "JobName=gensweep" in text]
    assert len({text.split("ArrayJobId=")[1].split()[0] for text in jobs}) == 1
    assert sorted(text.split("ArrayTaskId=")[1].split()[0] for text in jobs) == ["0", "1"]
    same(tmp_path, pooled)
    assert {p.name for p in tmp_path.iterdir()} == {"runs", "table.parquet", "table.csv"}
    assert "2 runs: 2 done, 0 to do" in done(tmp_path, *SMALL, BY_SLURM, environment=slurm.environment)


@pytest.mark.parametrize("nodes", [1, 2])
def test_two_tasks_share_a_run_on_one_node_or_two(nodes, slurm, shared, tmp_path):
    tasks = [f"hydra.launcher.nodes={nodes}", f"hydra.launcher.tasks_per_node={2 // nodes}"]
    done(tmp_path, *SMALL, BY_SLURM, *BY_TASKS, *tasks, environment=slurm.environment)
    assert any(f"NumNodes={nodes} " in text for text in known(slurm))
    assert processes(tmp_path) == 2
    same(tmp_path, shared)


def test_one_task_starts_the_processes_of_its_run_itself(slurm, shared, tmp_path):
    done(tmp_path, *SMALL, BY_SLURM, *SHARED, environment=slurm.environment)
    assert processes(tmp_path) == 2
    same(tmp_path, shared)


@pytest.mark.parametrize("multirun", [True, False])
def test_what_srun_starts_shares_the_runs(multirun, slurm, shared, tmp_path):
    srun = ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1"]
    grid = [SMALL] if multirun else [[*SMALL[:-1], "seed=0"], [*SMALL[:-1], "seed=1"]]
    for words in grid:
        run = [*srun, *command(*["-m"] * multirun, *words, *BY_TASKS, f"outputs={tmp_path}")]
        ended = subprocess.run(run, env=slurm.environment, capture_output=True, text=True, timeout=200)
        assert ended.returncode == 0, ended.stdout + ended.stderr
    assert processes(tmp_path) == 2
    same(tmp_path, shared)


def test_tasks_that_are_unevenly_spread_are_refused(slurm, tmp_path):
    run = ["srun", "--nodes=2", "--ntasks=4", "--distribution=block:block", "--ntasks-per-node=3"]
    run += command(*SMALL[:-1], *BY_TASKS, f"outputs={tmp_path / 'none'}")
    ended = subprocess.run(run, env=slurm.environment, capture_output=True, text=True, timeout=100)
    assert "4 tasks on 2 nodes: give each node as many" in ended.stderr
    assert not (tmp_path / "none").exists()


def test_a_job_that_fails_takes_no_other_with_it(slurm, tmp_path):
    words = [*SMALL[:-1], "budget.max_epochs=1000000,2,3", "budget.check_every=50"]
    endless, *others = plan([*words, f"outputs={tmp_path}"], True).jobs
    driver = started(slurm, tmp_path, *words)
    try:
        pid = wait_for(lambda: training(endless.run), 120)["pid"]
        os.kill(pid, signal.SIGKILL)
        out, err = driver.communicate(timeout=120)
    finally:
        driver.kill()
    assert driver.returncode == 1
    assert out.endswith("2 done, 0 diverged, 1 failed\n")
    log = endless.run.folder / "log.txt"
    assert f"{endless.run_id} failed: killed by SIGKILL; log: {log}" in err
    assert all(job.finished() for job in others)
    assert "Traceback" not in out + err


def by_submitits_signal(slurm, job):
    """What Slurm sends before a time limit, and before a preemption where its admin wants it."""
    slurm.call("scancel", "--signal=USR2", str(job))


def by_requeue(slurm, job):
    slurm.call("scontrol", "requeue", str(job))


def by_a_more_urgent_job(slurm, job):
    done = subprocess.run(
        ["srun", "--partition=urgent", "--nodes=2", "--exclusive", "true"], env=slurm.environment, timeout=100
    )
    assert done.returncode == 0


WAYS = {
    "submitit's signal": ("main", by_submitits_signal, False),
    "scontrol requeue": ("main", by_requeue, False),
    "preemption at once": ("main", by_a_more_urgent_job, False),
    "preemption with a grace time": ("graceful", by_a_more_urgent_job, False),
    "preemption with submitit's signal": ("graceful", by_a_more_urgent_job, True),
}


def disturbed(slurm, outputs, partition, disturb, *words):
    """A sweep of one run, which loses its place once; returns the run and what it said after it had."""
    driver = started(slurm, outputs, *words, f"hydra.launcher.partition={partition}")
    try:
        run = first_training(outputs)
        before = run.state()
        (job,) = slurm.jobs()
        disturb(slurm, job)
        wait_for(lambda: restarts(slurm, job) == 1, 100)
        between = json.loads((run.folder / "state.json").read_text())
        assert between["pid"] == before["pid"]
        assert (run.folder / "last.ckpt").exists()
        out, err = driver.communicate(timeout=300)
        assert driver.returncode == 0, out + err
        assert restarts(slurm, job) == 1
    finally:
        driver.kill()
    return run


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_loses_its_place_goes_on_and_ends_with_the_same_bits(way, slurm, undisturbed, tmp_path):
    partition, disturb, signalled = WAYS[way]
    slurm.configure(SIGNAL_TO_USER if signalled else "")
    slurm.call("scontrol", "reconfigure")
    assert ("preempt_send_user_signal" in slurm.call("scontrol", "show", "config")) == signalled
    run = disturbed(slurm, tmp_path, partition, disturb, *LONG)
    assert epochs_never_go_back(run)
    same(tmp_path, undisturbed)


def test_two_nodes_that_lose_their_places_go_on_and_end_with_the_same_bits(slurm, undisturbed_pair, tmp_path):
    words = [*LONG, "budget.max_epochs=400", *BY_TASKS, "hydra.launcher.nodes=2"]
    run = disturbed(slurm, tmp_path, "main", by_submitits_signal, *words)
    assert epochs_never_go_back(run)
    same(tmp_path, undisturbed_pair)


def test_a_run_longer_than_its_place_in_the_queue_goes_on_in_the_next(slurm, tmp_path):
    """A minute at most, and the signal soon after its beginning; training takes longer than that anywhere."""
    words = [*LONG, "budget.max_epochs=6000"]
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=50"]
    driver = started(slurm, tmp_path / "disturbed", *words, *limit)
    try:
        run = first_training(tmp_path / "disturbed")
        (job,) = slurm.jobs()
        out, err = driver.communicate(timeout=600)
        assert driver.returncode == 0, out + err
        assert restarts(slurm, job) >= 1
    finally:
        driver.kill()
    assert epochs_never_go_back(run)
    done(tmp_path / "undisturbed", *words)
    same(tmp_path / "disturbed", tmp_path / "undisturbed")


def test_nothing_of_the_cluster_is_left(tmp_path):
    """A second one, since the first is still needed."""
    folder = Path(tempfile.mkdtemp(prefix="gs"))
    folder.chmod(0o755)
    with clusters.Slurm(folder) as cluster:
        assert cluster.call("srun", "--nodes=2", "getent", "hosts", "n2").count("127.0.0.1") == 2
        pids = [process.pid for process in cluster.started]
    assert len(pids) == 4
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert "n1" not in Path("/etc/hosts").read_text().split()
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
