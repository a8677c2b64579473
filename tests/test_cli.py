"""The verbs as a user types them: what they print, leave behind and exit with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from gensweep.cli import main
from gensweep.sweep.plan import plan
from gensweep.table.store import Store

pytestmark = pytest.mark.slow
TINY = "train_size=60 poison_size=40 poison_factor=0.3 model.widths=[8] budget.max_epochs=3 measure=[error]"
WILD = "train_size=60 model.widths=[8] budget.max_epochs=3 measure=[error] optim=sgd optim.lr=0.1,1e30"
VERBS = ("run", "plan", "measure", "status", "verify", "collect", "figure", "report", "selftest")


def gensweep(*words, cwd, python=("-m", "gensweep")):
    return subprocess.run([sys.executable, *python, *words], cwd=cwd, capture_output=True, text=True)


def code(*words):
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a name of the difficult kind, with one finished run in it."""
    folder = tmp_path_factory.mktemp("made") / "Läufe von Jürgen's (neu)"
    folder.mkdir()
    done = gensweep("run", *TINY.split(), cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "measured error: 15 rows" in done.stdout
    return folder


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A sweep of two runs, one of which diverges."""
    folder = tmp_path_factory.mktemp("wild")
    return folder, gensweep("run", "-m", *WILD.split(), cwd=folder)


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def only_run(folder):
    (run,) = Store(folder / "outputs").runs()
    return run


def test_a_run_leaves_only_its_outputs(folder):
    assert os.listdir(folder) == ["outputs"]
    assert os.listdir(folder / "outputs") == ["runs"]
    run = only_run(folder)
    assert run.state()["state"] == "done"
    assert run.has("solution.safetensors", "outcome.json", "config.yaml")
    assert not (run.folder / "last.ckpt").exists()
    assert not list(run.folder.rglob("*.tmp"))


def test_a_finished_run_returns_at_once_without_torch(folder):
    script = (
        "import sys\nfrom gensweep.cli import main\n"
        "try: main()\nfinally: print(sorted({'torch', 'lightning', 'pandas'} & sys.modules.keys()))"
    )
    before = only_run(folder).manifest()
    done = gensweep("run", *TINY.split(), cwd=folder, python=("-c", script))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{only_run(folder).run_id} is done: outputs/runs/{only_run(folder).run_id}",
        "[]",
    ]
    assert only_run(folder).manifest() == before


def test_a_finished_run_needs_no_folder_that_takes_files(here, monkeypatch, capsys):
    def refuse(**place):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("gensweep.table.places.tempfile.TemporaryFile", refuse)
    for words, code in ((TINY.split(), 0), ([*TINY.split(), "seed=99"], 2)):
        with pytest.raises(SystemExit) as end:
            main(["run", *words])
        assert end.value.code == code


def test_measure_adds_a_measure_and_does_not_train(folder):
    run = only_run(folder)
    before, moment = run.manifest(), (run.folder / "solution.safetensors").stat().st_mtime_ns
    words = ("measure", run.run_id[:4], "--outputs", "outputs", "measure=[error,margin]")
    done = gensweep(*words, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "1 of 1 runs measured\n")
    assert "epoch" not in done.stdout
    added = run.manifest().keys() - before.keys()
    assert [name.rpartition("-")[0] for name in added] == ["rows/margin"]
    assert before.items() <= run.manifest().items()
    assert (run.folder / "solution.safetensors").stat().st_mtime_ns == moment


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["zzz", "measure=[error]"], "zzz names 0 runs"),
        (["measure=[error]"], "name at least one run"),
        (["", "seed=1"], "seed=1: a stored run keeps its science"),
        (["", "measure=[errr]"], "did you mean error?"),
        (["", "--bogus"], "unrecognised arguments: --bogus"),
    ],
)
def test_measure_refuses_what_it_cannot_do(here, capsys, words, sentence):
    assert code("measure", *words) == 2
    assert sentence in capsys.readouterr().err


def test_status_lists_every_run(here, capsys):
    run = only_run(here)
    assert code("status") == 0
    line, counts = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{run.run_id}  done  ")
    assert counts == "1 done"


def test_status_speaks_json(here, capsys):
    assert code("status", "--json") == 0
    (state,) = json.loads(capsys.readouterr().out)
    assert (state["run_id"], state["state"]) == (only_run(here).run_id, "done")


def test_status_of_nothing_says_so(tmp_path, capsys):
    assert code("status", "--outputs", str(tmp_path / "none")) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path / 'none'}\n"
    assert not (tmp_path / "none").exists()


def test_collect_writes_one_table_twice(here, tmp_path):
    assert code("collect", "-o", str(tmp_path / "t.parquet")) == 0
    table = pd.read_parquet(tmp_path / "t.parquet")
    assert set(table.run_id) == {only_run(here).run_id}
    assert len(pd.read_csv(tmp_path / "t.csv")) == len(table) >= 15


def test_a_held_run_is_busy(here, capsys):
    words = [*TINY.split(), "seed=5"]
    with plan(words).jobs[0].run.claimed():
        assert code("run", *words) == 75
    assert "is held by process" in capsys.readouterr().err


def test_a_sweep_with_a_diverged_run_exits_with_one_and_finishes_the_other(wild):
    _, done = wild
    assert done.returncode == 1
    assert done.stdout.startswith("2 runs: 0 done, 2 to do\n")
    assert done.stdout.endswith("1 done, 1 diverged, 0 failed\n")
    assert "diverged: the clean loss became nan after update" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_sweep_again_starts_nothing(wild):
    folder, _ = wild
    again = gensweep("run", "-m", *WILD.split(), cwd=folder)
    assert again.returncode == 1
    assert again.stdout == "2 runs: 2 done, 0 to do\n1 done, 1 diverged, 0 failed\n"


def test_a_diverged_run_alone_exits_with_one_at_once(wild, monkeypatch, capsys):
    monkeypatch.chdir(wild[0])
    assert code("run", *WILD.replace("0.1,", "").split()) == 1
    assert " diverged: outputs/runs/" in capsys.readouterr().out


def test_the_table_of_a_sweep_says_which_run_diverged(wild, monkeypatch):
    monkeypatch.chdir(wild[0])
    assert code("collect") == 0
    table = pd.read_parquet("outputs/table.parquet")
    lost = table[table.state == "diverged"]
    assert table.run_id.nunique() == 2
    assert (lost.status.item(), lost.quantity.item(), lost["optim.lr"].item()) == ("nonfinite", "loss", 1e30)
    assert "the clean loss became nan" in lost.reason.item()


def test_bad_input_ends_within_a_second_and_creates_nothing(tmp_path):
    """A second of processor time: other load on the machine is not our doing."""
    before = os.times()
    done = gensweep("run", "-m", "seed=0,1", "poison_factor=0,1.5", "poison_size=40", cwd=tmp_path)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < 1.5  # torch alone takes longer
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gensweep: poison_factor=1.5 is not a number in [0, 1)\n"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ("run", "posion_factor=0.3"),
        ("run", "+posion_factor=0.3"),
        ("run", "seed=0,1"),
        ("run", "train_size=1301"),
        ("run", "--bogus"),
        ("run", "hydra.run.dir=elsewhere"),
        ("plan", "model=resnet"),
        ("collect",),
        ("collect", "--experiment", "x"),
        ("train",),
        (),
        ("status", "--bogus"),
        ("selftest", "--seeds", "few"),
        ("status", "more"),
    ],
)
def test_bad_input_exits_with_two_and_creates_nothing(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert code(*words) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_everywhere(capsys, verb):
    assert code(*[w for w in (verb, "--help") if w]) == 0
    assert capsys.readouterr().out.startswith(f"usage: gensweep {verb}".rstrip())


def test_help_names_every_verb(capsys):
    assert code("--help") == 0
    out = capsys.readouterr().out
    assert all(f"    {verb} " in out for verb in VERBS)


def test_cfg_job_prints_every_setting_and_runs_nothing(tmp_path):
    done = gensweep("run", "--cfg", "job", "seed=7", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nseed: 7\n" in done.stdout
    assert "\npoison_factor: 0.0\n" in done.stdout
    assert os.listdir(tmp_path) == []


def test_plan_tells_done_from_planned_and_touches_nothing(here, capsys):
    before = sorted(Path("outputs").rglob("*"))
    assert code("plan", "-m", *TINY.split(), "seed=0,1,1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["done", "planned"]
    assert lines[2] == "2 runs: 1 done, 1 to do, 1 named twice"
    assert sorted(Path("outputs").rglob("*")) == before
