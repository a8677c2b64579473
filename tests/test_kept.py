"""A run that keeps weights on its way: committed with the solution, and measured as its path."""

import pytest
import torch
from safetensors.torch import load

from gensweep.errors import InputError
from gensweep.parts import build
from gensweep.parts import load as loaded_data
from gensweep.run import run
from gensweep.solutions import loaded, passed_by
from gensweep.sweep.plan import plan
from gensweep.table.shards import collect
from gensweep.table.store import KEPT, Store

TINY = ("model=cnn", "model.width=2", "train_size=60", "budget.max_epochs=4", "measure=[error,trajectory]")


def job_of(outputs, *overrides):
    (job,) = plan((*TINY, f"outputs='{outputs}'", *overrides)).jobs
    return job


def made(outputs, *overrides):
    job = job_of(outputs, *overrides)
    assert run(job.config, say=lambda line: None) == "done"
    return job


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def job(outputs):
    return made(outputs, "budget.keep=[1,3]")


def solution_of(job):
    data = loaded_data(job.config)
    return loaded(job.run, build(job.config["model"], data), None)


def test_kept_weights_and_buffers_are_a_shorter_runs_solution(job, outputs):
    short = made(outputs, "budget.max_epochs=3")
    weights, solution = passed_by(job.run)[3], load(short.run.read("solution.safetensors"))
    assert weights.keys() == solution.keys()
    assert any(name.endswith("running_var") for name in weights)
    assert all(torch.equal(weights[name], solution[name]) for name in weights)


def test_they_are_committed_in_one_file_and_nothing_is_left_over(job):
    assert KEPT in job.run.manifest()
    assert passed_by(job.run).keys() == {0, 1, 3}
    assert not (job.run.folder / "kept").exists()


def test_the_path_is_the_beginning_the_kept_ones_and_the_end(job):
    solution = solution_of(job)
    passed = passed_by(job.run)
    points = [solution.init_P, *(solution.layout.pack(passed[e]) for e in (1, 3)), solution.theta_P]
    assert torch.equal(solution.path_TP, torch.stack(points))
    assert len({tuple(point.tolist()) for point in points}) == 4


def test_the_path_measured_after_training_is_the_one_that_is_stored(outputs, monkeypatch):
    seen = []
    monkeypatch.setattr("gensweep.run.measure", lambda config, solution, *_: seen.append(solution.path_TP))
    stored = made(outputs, "budget.keep=[2]", "seed=1")
    assert len(seen[0]) == 3
    assert torch.equal(seen[0], solution_of(stored).path_TP)


def test_a_kept_end_is_no_second_point(outputs):
    assert len(solution_of(made(outputs, "budget.keep=2", "seed=2")).path_TP) == 3


def test_the_trajectory_goes_through_all_of_them(job):
    table = collect(Store(job.run.folder.parents[1]))[0]
    rows = table[(table["run_id"] == job.run_id) & (table["measure"] == "trajectory")]
    assert (rows["quantity"] == "pca_1").sum() == 4
    distance = rows[rows["quantity"] == "distance"].set_index(["index", "x"])["value"]
    expected = (solution_of(job).path_TP[1] - solution_of(job).path_TP[2]).norm().item()
    assert distance[1, 2.0] == pytest.approx(expected, rel=1e-5)


def test_a_reparametrised_solution_has_no_path_and_keeps_its_weights(job, outputs):
    moved = made(outputs, "budget.keep=[1,3]", "reparametrise=layer")
    kept = passed_by(moved.run)
    assert all(torch.equal(kept[3][name], weight) for name, weight in passed_by(job.run)[3].items())
    assert solution_of(moved).path_TP is None


@pytest.mark.parametrize("keep", [[3], 3])
def test_fewer_epochs_keep_fewer_and_that_is_no_error(outputs, keep):
    words = (f"budget.keep={keep}", "budget.target_loss=100")
    assert passed_by(made(outputs, *words).run).keys() == {0}


def test_a_lost_kept_file_is_made_again(outputs):
    job = made(outputs, "budget.keep=[1]", "seed=3")
    before = job.run.manifest()
    (job.run.folder / KEPT).write_bytes(b"")
    assert not job.finished()
    again = made(outputs, "budget.keep=[1]", "seed=3")
    assert again.finished()
    assert again.run.manifest()[KEPT] == before[KEPT]


def test_a_checkpoint_without_what_was_kept_before_it_begins_anew(outputs, monkeypatch):
    words = ("budget.keep=[1]", "seed=4")
    monkeypatch.setattr("gensweep.run.saved", lambda *_: pytest.fail("not yet"))
    with pytest.raises(pytest.fail.Exception):
        made(outputs, *words)
    monkeypatch.undo()
    job = job_of(outputs, *words)
    (job.run.folder / "kept" / "1.safetensors").unlink()
    assert passed_by(made(outputs, *words).run).keys() == {0, 1}


@pytest.mark.parametrize(
    "words", [["budget.keep=[1,5]"], ["budget.keep=[1,9]", "batch_size=1", "budget.match=updates"]]
)
def test_an_epoch_that_there_will_not_be_is_refused(outputs, words):
    with pytest.raises(
        InputError, match=r"asks for weights after epoch \d, but training ends after \d epochs"
    ):
        job_of(outputs, *words)
