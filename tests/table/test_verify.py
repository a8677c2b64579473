"""Every damage is named, with the file and with what happens next; what is whole is left in peace."""

import json
import os
import shutil
from pathlib import Path

import pytest

from gensweep.sweep.plan import plan
from gensweep.table.store import Store
from gensweep.table.verify import check, show
from tests.past import begun, died, made


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Where each test begins with nothing, under the same name: configs are composed once."""
    monkeypatch.chdir(tmp_path)
    return Path("outputs")


@pytest.fixture
def run(outputs):
    """One of two finished runs of an experiment."""
    jobs = [plan(("measure=[error,norms]", f"seed={s}")).jobs[0] for s in (0, 1)]
    Store(outputs).remember_experiment(
        "mine-laptop", {job.run_id: sorted(job.shards.values()) for job in jobs}
    )
    for job in jobs:
        made(job)
    return jobs[0].run


def shard(run):
    return next(run.folder.glob("rows/error-*"))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def into_folder(path):
    path.unlink()
    path.mkdir()


def unlink(path):
    path.unlink()


DAMAGE = {
    flip: "is damaged",
    empty: "is empty",
    cut: "is damaged",
    into_folder: "is a folder",
    unlink: "is missing",
}


def test_what_is_whole_has_no_problem(run, outputs, capsys):
    assert show(outputs) == 0
    assert capsys.readouterr().out == "2 runs, 14 files hashed: no problem\n"


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: d.__name__)
@pytest.mark.parametrize(
    ("name", "next_"),
    [
        ("rows", "the next `gensweep run` of the same command measures error again, without training"),
        ("solution.safetensors", "the next `gensweep run` of the same command trains it again"),
        ("config.yaml", "the next `gensweep run` of the same command trains it again"),
    ],
)
def test_every_damage_is_one_line_with_what_to_do(run, outputs, capsys, damage, name, next_):
    path = shard(run) if name == "rows" else run.folder / name
    before = path.read_bytes()
    damage(path)
    assert not path.is_file() or path.read_bytes() != before  # it did happen
    assert show(outputs) == 1
    line, summary = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{path}: {DAMAGE[damage]}")
    assert next_ in line
    assert ("move it away, then" in line) == (damage is into_folder)
    assert summary == "2 runs, 14 files hashed: 1 problem"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"config.yaml": 3}', None, "folder"])
def test_a_manifest_that_cannot_be_read_is_one_problem(run, outputs, capsys, content):
    path = run.folder / "manifest.json"
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    assert show(outputs) == 1
    problems = [line for line in capsys.readouterr().out.splitlines() if "harmless" not in line]
    assert len(problems) == 2
    assert problems[0].startswith(f"{path}: ")
    assert "trains it again" in problems[0]


def test_what_is_foreign_is_named_and_no_problem(run, outputs, capsys):
    foreign = [outputs / "runs" / ".DS_Store", run.folder / ".nfs0001", run.folder / "rows" / "notes.txt"]
    foreign.append(outputs / "experiments" / ".DS_Store")
    for path in foreign:
        path.write_bytes(b"x")
    assert show(outputs) == 0
    out = capsys.readouterr().out
    assert all(f"{path}: " in out for path in foreign)
    assert out.endswith("2 runs, 14 files hashed: no problem, 4 notes\n")


def test_what_dead_processes_left_half_is_counted(run, outputs, capsys):
    for name in (".state.json.1a.tmp", "rows/.x.2b.tmp"):
        (run.folder / name).write_bytes(b"half")
    assert show(outputs) == 0
    assert f"{run.folder}: 2 temporary files of a process that died; harmless" in capsys.readouterr().out


def test_a_file_in_place_of_a_run_and_of_its_rows(run, outputs, capsys):
    rows = run.folder / "rows"
    shutil.rmtree(rows)
    rows.write_bytes(b"")
    (outputs / "runs" / "aaaaaaaaaaaa").write_bytes(b"")
    assert show(outputs) == 1
    out = capsys.readouterr().out
    assert f"{outputs / 'runs' / 'aaaaaaaaaaaa'}: is no folder; move it away" in out
    assert out.count("lies in what is no folder; move it away, then") == 2


def test_a_file_that_may_not_be_read_is_a_problem(run, outputs, capsys, monkeypatch):
    """Root reads everything, so the refusal is played."""
    read, path = Path.read_bytes, shard(run)

    def refuse(self):
        if self == path:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert show(outputs) == 1
    assert f"{path}: cannot be read (Permission denied)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["../../elsewhere", "/etc/hostname"])
def test_a_manifest_reaches_no_file_outside_its_run(run, outputs, capsys, name):
    manifest = run.manifest() | {name: "0" * 64}
    (run.folder / "manifest.json").write_text(json.dumps(manifest))
    assert show(outputs) == 1
    assert "manifest.json: cannot be read; nothing of this run counts without it" in capsys.readouterr().out


def test_a_damaged_checkpoint_is_noticed(run, outputs, capsys):
    job = begun(plan(("measure=[error]", "seed=2")).jobs[0], 3, 9)
    assert show(outputs) == 1
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(f"{job.run.folder / 'last.ckpt'}: is damaged")
    assert "trains from the beginning" in line


def test_an_experiment_that_cannot_be_read_is_made_again_by_running_it(run, outputs, capsys):
    (outputs / "experiments" / "mine-laptop.json").write_bytes(b"{")
    assert show(outputs) == 1
    assert "experiment=mine run again makes it anew" in capsys.readouterr().out


def test_a_run_under_way_or_cut_off_is_no_problem(outputs):
    job = begun(plan(("measure=[error]",)).jobs[0])
    (job.run.folder / "rows").mkdir()
    (job.run.folder / "config.yaml").write_bytes(b"about to be committed")
    assert check(job.run) == []
    shutil.rmtree(job.run.folder / "rows")
    assert [f.damage for f in check(died(job).run)] == [False]


def test_a_file_that_is_replaced_while_one_looks_is_no_problem(run, monkeypatch):
    name = f"rows/{shard(run).name}"
    old = run.manifest()
    run.commit({name: b"made again"})
    manifests = iter([old, old])
    now = run.manifest()
    monkeypatch.setattr(type(run), "manifest", lambda self: next(manifests, now))
    assert check(run) == []


def test_nothing_is_there_and_nothing_is_made(outputs, capsys):
    assert show(outputs) == 0
    assert capsys.readouterr().out == "0 runs, 0 files hashed: no problem\n"
    assert not os.path.lexists(outputs)
