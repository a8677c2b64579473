"""What `plan` says: why each run has something to do, how long it takes, and where each number comes from."""

import os
import shutil
from pathlib import Path

import pytest

from gensweep.cli import main
from gensweep.sweep.plan import plan
from gensweep.sweep.reasons import Neighbours, why
from gensweep.table.store import Store
from tests.past import begun, died, made

WORDS = ("train_size=60", "batch_size=20", "measure=[error,norms]", "budget.max_epochs=60")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """Each test begins with nothing, under the same name: configs are composed once."""
    monkeypatch.chdir(tmp_path)


def job_of(*words):
    return plan((*WORDS, *words)).jobs[0]


def reason(job):
    return why(job, Neighbours(Store(Path("outputs"))))


def said(capsys, *words):
    with pytest.raises(SystemExit) as left:
        main(("plan", *words))
    assert left.value.code == 0
    return capsys.readouterr().out.splitlines()


def tree():
    """Every path here with the moment of its last change."""
    return {str(p): p.lstat().st_mtime_ns for p in [Path("."), *Path(".").rglob("*")]}


def test_a_first_run_has_no_neighbours():
    assert reason(job_of()) == "new: nothing like it is stored here"


def test_a_new_value_is_named():
    made(job_of())
    assert reason(job_of("seed=4")) == "new: seed=4 was not in the table"
    assert reason(job_of("model.widths=[8]")) == "new: model.widths=[8] was not in the table"


def test_a_new_combination_is_held_against_the_nearest_run():
    made(job_of("seed=1"))
    near = made(job_of("optim.lr=0.5"))
    assert reason(job_of("seed=1", "optim.lr=0.5")) == f"new: differs from {near.run_id} only in seed=1" or (
        "only in optim.lr=0.5" in reason(job_of("seed=1", "optim.lr=0.5"))
    )


def test_another_study_altogether_is_not_compared_setting_by_setting():
    made(job_of())
    far = job_of(
        "data=spirals", "seed=1", "train_size=50", "optim.lr=1", "batch_size=2", "random_labels=true"
    )
    assert "settings or more" in reason(far)


def test_what_was_cut_off_goes_on_where_it_was():
    job = died(begun(job_of(), 12, 60))
    assert reason(job) == "goes on after epoch 12/60"
    (job.run.folder / "last.ckpt").unlink()
    assert reason(job) == "begins anew"


def test_what_failed_says_why():
    job = begun(job_of(), 12, 60)
    job.run.set_state("failed", progress="epoch 12/60, clean loss 1", reason="killed by SIGKILL")
    assert reason(job) == "goes on after epoch 12/60 (killed by SIGKILL)"
    job.run.set_state("failed", reason="killed by SIGKILL")
    assert reason(job) == "goes on from its checkpoint (killed by SIGKILL)"


def test_what_is_under_way_says_where():
    assert reason(begun(job_of(), 1, 60)) == f"under way in process {os.getpid()} on {os.uname().nodename}"


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_lost_shard_a_new_measure_and_other_settings_are_told_apart(damage):
    job = made(job_of())
    assert reason(job_of("measure=[error,norms,margin]")) == "needs only margin (never measured)"
    damage(next(job.run.folder.glob("rows/norms-*")))
    assert reason(job) == "needs only norms (its rows are damaged or missing)"
    made(job_of("measure=[slice]"))
    assert reason(job_of("measure=[slice]", "measure.slice.points=9")) == "needs only slice (other settings)"


def test_a_lost_solution_is_trained_again():
    job = made(job_of())
    (job.run.folder / "solution.safetensors").write_bytes(b"x")
    assert reason(job) == "solution.safetensors is damaged or missing: it is trained again"


def test_the_plan_counts_what_is_there_and_says_where_its_numbers_come_from(capsys):
    """Two trained in 10 s, measured in 1 s; one is at half, one new."""
    for seed, seconds in ((0, 9.0), (1, 11.0)):
        made(job_of(f"seed={seed}"), train=seconds)
    shutil.rmtree(job_of("seed=1").run.folder / "rows")
    died(begun(job_of("seed=2"), 30, 60))
    lines = said(capsys, "-m", *WORDS, "seed=0,1,2,3", "hardware.jobs=2")
    assert [line.split()[1] for line in lines[:4]] == ["done", "incomplete", "interrupted", "planned"]
    assert lines[4] == "4 runs: 1 done, 3 to do"
    assert lines[5] == (
        "reuse    1 training stored already, to be measured only: error, norms; "
        "1 training to go on from a checkpoint"
    )
    assert lines[6] == "train    1.5 runs × 10s ± 1.4s = 15s   measured on 2 runs of this store"
    assert lines[7] == "measure  error 3 runs × 1s = 3s   measured on 1 run of this store"
    assert lines[8] == "         norms 3 runs × 1s = 3s   measured on 1 run of this store"
    assert lines[9] == "time     about 16s, 2 at a time"  # 4 s of imports, and 3 × 0.5 + 15 + 6 s by two
    assert lines[10].startswith("disk     +")
    assert "a run, as 2 like it took; free " in lines[10]
    assert lines[11:] == ["why new: seed=3 was not in the table (1 run)"]


def test_a_plan_without_history_knows_that_it_knows_nothing(capsys):
    lines = said(capsys, *WORDS)
    assert lines[2] == "train    1 run × ?"
    assert "time     not known: no run like this was timed here; `gensweep plan --probe …` times one" in lines


def test_a_plan_of_what_is_done_says_no_more(capsys):
    job = made(job_of())
    assert said(capsys, *WORDS) == [f"{job.run_id} done         {' '.join(WORDS)}", "1 runs: 1 done, 0 to do"]


def test_many_costs_are_one_line(capsys):
    for width in range(5, 10):
        made(job_of(f"model.widths=[{width}]"), train=float(width))
    lines = said(capsys, "-m", *WORDS, "model.widths=[5],[6],[7],[8],[9]", "seed=7")
    assert "train    5 runs × 5s to 9s = 35s   measured on 5 runs of this store" in lines


def test_many_reasons_are_cut_short(capsys):
    made(job_of())
    lines = said(capsys, "-m", *WORDS, "seed=1,2,3,4,5,6")
    assert [line for line in lines if line.startswith("why new")] == [
        *(f"why new: seed={s} was not in the table (1 run)" for s in (1, 2, 3, 4)),
        "why new: 2 more runs, each as its line says",
    ]


def test_a_plan_touches_nothing(capsys):
    made(job_of())
    died(begun(job_of("seed=2"), 30, 60))
    before = tree()
    assert len(before) > 10
    said(capsys, "-m", *WORDS, "seed=0,1,2,3")
    assert tree() == before
