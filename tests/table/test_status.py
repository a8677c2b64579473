"""What every run is doing: one line each, a contract in JSON, and live until nothing is under way."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gensweep.cli import main
from gensweep.sweep.plan import plan
from tests.past import begun, died, made
from tests.waiting import wait_for

KEYS = ["run_id", "state", "progress", "reason", "swept", "host", "pid", "time", "log", "advice"]


def code(*words):
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """Where each test begins with nothing, under the same name: configs are composed once."""
    monkeypatch.chdir(tmp_path)
    return Path("outputs")


@pytest.fixture
def jobs(outputs):
    """Four runs: done, under way, cut off, and one to be put into any state."""
    planned = plan(("measure=[error]", "seed=0,1,2", "optim.lr=0.1,0.01"), True)
    done, working, cut, last, *_ = planned.jobs
    made(done)
    begun(working, 40, 100)
    died(begun(cut, 12, 100))
    begun(last, 5, 100)
    return done, working, cut, last


def status(outputs, capsys, *options):
    assert code("status", "--outputs", str(outputs), *options) == 0
    return capsys.readouterr().out.splitlines()


def test_one_line_a_run_and_the_counts(jobs, outputs, capsys):
    done, working, cut, last = jobs
    last.run.set_state("failed", progress="epoch 5/100, clean loss 1", reason="ValueError: no")
    lines = status(outputs, capsys)
    assert [line.split()[:2] for line in lines[:4]] == [
        [done.run_id, "done"],
        [working.run_id, "training"],
        [cut.run_id, "interrupted"],
        [last.run_id, "failed"],
    ]
    assert lines[4].startswith("1 done, 1 failed, 1 interrupted, 1 training")


def test_a_line_says_what_is_swept_how_far_it_is_and_where(jobs, outputs, capsys):
    line = next(line for line in status(outputs, capsys) if line.startswith(jobs[1].run_id))
    assert "epoch 40/100, clean loss 1" in line
    assert "seed=0 optim.lr=0.01" in line or "seed=1 optim.lr=0.1" in line
    assert "batch_size" not in line
    assert f" ago  {os.uname().nodename}" in line


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("failed", "its log says more: {log}"),
        ("oom", "a smaller batch_size or hardware.jobs needs less memory; its log: {log}"),
        ("timeout", "raise hardware.time_limit, and the same command goes on"),
        ("preempted", "the same command goes on"),
        ("diverged", "it has its row; a smaller optim.lr is another run"),
    ],
)
def test_every_bad_end_comes_with_its_reason_and_advice(jobs, outputs, capsys, state, advice):
    last = jobs[3]
    last.run.set_state(state, reason="the reason")
    line = next(line for line in status(outputs, capsys) if line.startswith(last.run_id))
    assert line.endswith("the reason; " + advice.format(log=last.run.folder / "log.txt"))


def test_what_was_cut_off_is_said_to_go_on(jobs, outputs, capsys):
    line = next(line for line in status(outputs, capsys) if line.startswith(jobs[2].run_id))
    assert line.endswith("the same command goes on")


def test_failed_leaves_out_what_is_well(jobs, outputs, capsys):
    lines = status(outputs, capsys, "--failed")
    assert [line.split()[0] for line in lines[:-1]] == [jobs[2].run_id]
    assert lines[-1].startswith("1 done, 1 interrupted, 2 training")


def test_json_is_a_list_of_objects_with_these_keys_and_kinds(jobs, outputs, capsys):
    """A contract: what reads it today reads it tomorrow."""
    planned = plan(("measure=[error]", "seed=77")).jobs[0]
    planned.run.folder.mkdir()
    (text,) = status(outputs, capsys, "--json")
    found = json.loads(text)
    assert [list(line) for line in found] == [KEYS] * 5
    assert [line["run_id"] for line in found] == sorted(line["run_id"] for line in found)
    done = next(line for line in found if line["run_id"] == jobs[0].run_id)
    assert done.pop("time") == pytest.approx(time.time(), abs=60)
    assert done == {
        "run_id": jobs[0].run_id,
        "state": "done",
        "progress": "",
        "reason": "",
        "swept": {"seed": 0, "optim.lr": 0.1},
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "log": str(jobs[0].run.folder / "log.txt"),
        "advice": "",
    }
    never = next(line for line in found if line["run_id"] == planned.run_id)
    assert (never["state"], never["host"], never["pid"], never["time"]) == ("planned", None, None, None)
    assert never["swept"] == {}


def test_the_help_documents_every_key(capsys):
    assert code("status", "--help") == 0
    out = capsys.readouterr().out
    assert all(f"\n  {key} " in out for key in KEYS)


def test_those_under_way_have_an_end_by_what_like_runs_took(jobs, outputs, capsys):
    """100 s of training of which 60 % are left, and 5 s of measuring."""
    for job in jobs[2:]:
        died(job)
    made(jobs[0], train=100.0, measures=5.0)
    assert status(outputs, capsys)[-1].endswith("; those under way end in about 1m05s")


def test_without_a_like_run_a_training_is_judged_by_itself(outputs, capsys):
    """75 % done after 300 s: 100 s are left."""
    job = begun(plan(("measure=[error]",)).jobs[0], 75, 100)
    (job.run.folder / "log" / "version_0").mkdir(parents=True)
    os.utime(job.run.folder / "asked.json", (time.time() - 300,) * 2)
    assert status(outputs, capsys)[-1].startswith("1 training; those under way end in about 1m4")


@pytest.mark.parametrize("name", ["state.json", "asked.json", "config.yaml", "manifest.json", "outcome.json"])
@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b'{"budget": 3}'])
def test_damage_is_no_traceback(jobs, outputs, capsys, name, content):
    for job in jobs:
        (job.run.folder / name).write_bytes(content)
    assert len(status(outputs, capsys)) == 5
    assert len(json.loads(status(outputs, capsys, "--json")[0])) == 4


def test_json_cannot_be_watched(outputs, capsys):
    assert code("status", "--json", "--watch", "--outputs", str(outputs)) == 2
    assert "leave out one of both" in capsys.readouterr().err


def test_watch_says_what_changes_and_ends_when_nothing_is_under_way(jobs, outputs):
    _, working, _, last = jobs
    died(last)
    process = subprocess.Popen(watch(outputs), stdout=subprocess.PIPE, text=True)
    try:
        first = [process.stdout.readline() for _ in range(5)]
        assert sum(line.startswith(working.run_id) for line in first) == 1
        working.run.set_state("measuring", progress="error")
        line = process.stdout.readline()
        assert line.startswith(f"{working.run_id}  measuring  error")
        process.stdout.readline()
        working.run.set_state("done")
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert rest.splitlines()[0].startswith(f"{working.run_id}  done")
    assert rest.splitlines()[-1] == "2 done, 2 interrupted"


def test_watch_ends_with_control_c(jobs, outputs):
    process = subprocess.Popen(watch(outputs), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "")


def test_watch_redraws_a_terminal(jobs, outputs):
    for job in jobs[1:]:
        died(job)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        watch(outputs), stdout=theirs, env={**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    )
    os.close(theirs)
    shown = b""

    def read():
        nonlocal shown
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            return True

    try:
        wait_for(read)
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(ours)
    assert shown.count(jobs[0].run_id.encode()) >= 2
    assert b"\x1b[" in shown  # the cursor goes back up


def watch(outputs):
    return [sys.executable, "-m", "gensweep", "status", "--watch", "--outputs", str(outputs)]
