"""Runs on disk: committed, checked, found, held."""

import json
import os
import re
import subprocess
import sys

import pytest

from gensweep.errors import Busy, InputError
from gensweep.table.store import Damaged, Run, Store, sha256

RUN_ID = "0123456789ab"
HOLDER = """
import sys
from pathlib import Path
from gensweep.table.store import Run
with Run(Path(sys.argv[1])).claimed():
    Run(Path(sys.argv[1])).set_state("training")
    print("AT held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(tmp_path):
    run = Store(tmp_path).run(RUN_ID)
    run.folder.mkdir(parents=True)
    return run


@pytest.fixture
def holder(run):
    """A process that holds the run; it lets go when the test ends."""
    command = [sys.executable, "-c", HOLDER, str(run.folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "AT held\n"
    yield process
    process.kill()
    process.communicate()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


damage = pytest.mark.parametrize("damage", [flip, truncate, empty, remove])


def test_what_is_committed_reads_back(run):
    run.commit({"a": b"one", "rows/b": b"two"})
    assert (run.read("a"), run.read("rows/b")) == (b"one", b"two")
    assert run.manifest() == {"a": sha256(b"one"), "rows/b": sha256(b"two")}


def test_a_later_commit_keeps_the_earlier_files(run):
    run.commit({"a": b"one"})
    run.commit({"b": b"two"})
    assert run.has("a", "b")
    assert not run.has("a", "c")


def test_a_file_that_nobody_declared_does_not_count(run):
    (run.folder / "a").write_bytes(b"left over")
    assert not run.has("a")
    with pytest.raises(Damaged):
        run.read("a")


@damage
def test_a_damaged_file_is_refused_by_name(run, damage):
    run.commit({"a": b"content", "b": b"other"})
    damage(run.folder / "a")
    with pytest.raises(Damaged, match=re.escape(str(run.folder / "a"))):
        run.read("a")
    assert not run.has("a")
    assert run.read("b") == b"other"


@damage
def test_damage_is_forgotten_so_that_it_is_made_again(run, damage):
    run.commit({"a": b"content", "b": b"other"})
    damage(run.folder / "a")
    assert run.forget_damaged() == ["a"]
    assert list(run.manifest()) == ["b"]
    assert run.forget_damaged() == []


@pytest.mark.parametrize("content", [b"", b'{"a": "12', b"\xff\xfe"])
def test_a_manifest_that_cannot_be_read_commits_nothing(run, content):
    run.commit({"a": b"content"})
    (run.folder / "manifest.json").write_bytes(content)
    assert run.manifest() == {}
    assert not run.has("a")


def test_a_damaged_outcome_is_no_divergence(run):
    run.commit({"outcome.json": b'{"state": "diverged"}'})
    assert run.diverged()
    flip(run.folder / "outcome.json")
    assert not run.diverged()


def test_a_second_process_is_told_who_holds_the_run(run, holder):
    with pytest.raises(Busy, match=f"{RUN_ID} is held by process {holder.pid} on "), run.claimed():
        pass


def test_the_run_is_free_again_afterwards(run):
    with run.claimed():
        pass
    with run.claimed():
        run.commit({"a": b"one"})
    assert run.has("a")


def test_the_kernel_releases_the_run_of_a_killed_process(run, holder):
    assert run.state()["state"] == "training"
    holder.kill()
    assert holder.wait() == -9
    assert run.state()["state"] == "interrupted"
    with run.claimed():
        run.set_state("training")
    assert run.state()["pid"] == os.getpid()


def test_claiming_sweeps_out_what_a_dead_process_left(run):
    for name in (".a.x1.tmp", "rows/.b.x2.tmp", "rows/kept"):
        (run.folder / name).parent.mkdir(exist_ok=True)
        (run.folder / name).write_bytes(b"half")
    with run.claimed():
        left = {p.name for p in run.folder.rglob("*") if p.is_file()}
    assert left == {".lock", ".lease", "kept"}


def test_a_living_process_is_not_interrupted(run):
    run.set_state("measuring", progress="basin")
    assert (run.state()["state"], run.state()["progress"]) == ("measuring", "basin")


def test_a_later_process_of_the_same_number_is_another(run):
    run.set_state("training")
    state = json.loads((run.folder / "state.json").read_text())
    (run.folder / "state.json").write_text(json.dumps(state | {"born": "1"}))
    assert run.state()["state"] == "interrupted"


@pytest.mark.parametrize("ended", ["done", "diverged", "failed"])
def test_an_ended_run_stays_ended_without_its_process(run, ended):
    run.set_state(ended, reason="why")
    state = json.loads((run.folder / "state.json").read_text())
    (run.folder / "state.json").write_text(json.dumps(state | {"born": "1"}))
    assert (run.state()["state"], run.state()["reason"]) == (ended, "why")


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff"])
def test_without_a_readable_state_a_run_is_planned(run, content):
    if content is not None:
        (run.folder / "state.json").write_bytes(content)
    assert run.state() == {"state": "planned"}


def test_runs_are_listed_by_name_and_foreign_files_are_not(tmp_path):
    for name in ("bbbbbbbbbbbb", "aaaaaaaaaaaa", ".DS_Store", ".nfs0001", "aaaaaaaaaaaa.bak", "notes"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert [run.run_id for run in Store(tmp_path).runs()] == ["aaaaaaaaaaaa", "bbbbbbbbbbbb"]
    assert Store(tmp_path / "nowhere").runs() == []


def test_a_run_is_found_by_the_start_of_its_name(tmp_path):
    for name in ("aaaaaaaaaaaa", "aabbbbbbbbbb"):
        Run(tmp_path / "runs" / name).folder.mkdir(parents=True)
    assert Store(tmp_path).find("aab").run_id == "aabbbbbbbbbb"
    with pytest.raises(InputError, match=r"aa names 2 runs in .*aaaaaaaaaaaa, aabbbbbbbbbb"):
        Store(tmp_path).find("aa")
    with pytest.raises(InputError, match="c names 0 runs"):
        Store(tmp_path).find("c")


def test_an_experiment_remembers_its_members(tmp_path):
    store = Store(tmp_path)
    store.remember_experiment("x-smoke", {RUN_ID: ["error-1"]})
    assert store.experiment("x-smoke") == {RUN_ID: ["error-1"]}
    with pytest.raises(InputError, match=r"no experiment y-smoke in .*; it has x-smoke"):
        store.experiment("y-smoke")


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("gensweep.table.store, gensweep.cli, gensweep.sweep.plan", {"torch", "lightning", "matplotlib"}),
        ("gensweep.table.store, gensweep.cli", {"pandas", "pyarrow", "hydra", "numpy", "torch"}),
    ],
)
def test_light_verbs_import_nothing_heavy(modules, heavy):
    code = f"import sys, {modules}; print(sorted({heavy} & sys.modules.keys()))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (out.stdout, out.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({"state": "failed", "time": "x"}, {"state": "failed"}),
        ({"state": "failed", "time": float("nan"), "pid": True}, {"state": "failed"}),
        ({"state": "failed", "pid": [1], "host": {"a": 1}, "time": 5.0}, {"state": "failed", "time": 5.0}),
        (
            {"state": "failed", "reason": "\ud800 \x1b[2J\nnew"},
            {"state": "failed", "reason": r"\ud800 \x1b[2J\nnew"},
        ),
        ({"state": 7}, {"state": "planned"}),
    ],
)
def test_of_a_hostile_state_what_is_sound_is_kept_and_can_be_shown(run, said, kept):
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "state.json").write_text(json.dumps(said))
    assert run.state() == kept


@pytest.mark.parametrize("name", ["state.json", "manifest.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(run, name):
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / name).unlink(missing_ok=True)
    os.mkfifo(run.folder / name)
    assert run.manifest() == {}
    assert run.state() == {"state": "planned"}
