"""A run that starts from the weights of another, or branches off on its way."""

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load

from gensweep.data.base import Available
from gensweep.errors import InputError
from gensweep.geometry.solution import Solution
from gensweep.run import run
from gensweep.solutions import passed_by
from gensweep.sweep.plan import plan, point
from gensweep.table.store import Store

CNN = ("model=cnn", "model.width=2")
TINY = ("train_size=60", "budget.max_epochs=4", "measure=[error]")


def jobs_of(outputs, *overrides, multirun=False, network=CNN):
    return plan((*network, *TINY, f"outputs='{outputs}'", *overrides), multirun).jobs


def made(outputs, *overrides, network=CNN):
    (job,) = jobs_of(outputs, *overrides, network=network)
    assert run(job.config, say=lambda line: None) == "done"
    return job.run


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def parent(outputs):
    return made(outputs, "budget.keep=[1,3]")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def solution(run):
    return load(run.read("solution.safetensors"))


@pytest.mark.parametrize("epoch", ["null", 0, 1, 3])
def test_a_run_begins_bitwise_where_it_was_told_to(parent, outputs, epoch):
    """Weights and batch norm's statistics alike."""
    branch = made(outputs, f"start.run={parent.run_id[:6]}", f"start.epoch={epoch}", "budget.max_epochs=1")
    wanted = solution(parent) if epoch == "null" else passed_by(parent)[epoch]
    assert same(passed_by(branch)[0], wanted)
    assert not same(solution(branch), wanted)


def test_branches_at_different_epochs_differ(parent, outputs):
    words = (f"start.run={parent.run_id}", "start.epoch=1,3", "budget.max_epochs=1")
    one, three = jobs_of(outputs, *words, multirun=True)
    assert one.run_id != three.run_id
    ends = [made(outputs, *job.overrides[len((*CNN, *TINY)) + 1 :]) for job in (one, three)]
    assert not same(*map(solution, ends))


def test_a_branch_from_the_beginning_is_the_run_itself_again(parent, outputs):
    assert same(solution(made(outputs, f"start.run={parent.run_id}", "start.epoch=0")), solution(parent))


def test_a_plain_step_from_a_kept_epoch_is_the_step_that_the_parent_took(outputs):
    """Full batches of a network without batch norm: one clean gradient step is the next epoch."""
    mlp = ("model=mlp", "model.widths=[4]", "precision=float64")
    plain = ("optim=sgd", "optim.momentum=0", "batch_size=100%")
    long = made(outputs, *plain, "budget.keep=1", network=mlp)
    branch = (f"start.run={long.run_id}", "start.epoch=2", "budget.max_epochs=1")
    step = made(outputs, *plain, *branch, network=mlp)
    found, wanted = solution(step), passed_by(long)[3]
    assert all(torch.allclose(found[k], wanted[k], rtol=1e-12, atol=1e-14) for k in wanted)
    assert not any(torch.equal(passed_by(long)[2][k], wanted[k]) for k in wanted)


def test_theta_0_of_a_measure_is_where_the_branch_began(parent, outputs, monkeypatch):
    seen: list[Solution] = []
    monkeypatch.setattr("gensweep.run.measure", lambda config, solution, *_: seen.append(solution))
    made(outputs, f"start.run={parent.run_id}", "start.epoch=1", "seed=1")
    began = seen[0].layout.pack(passed_by(parent)[1])
    assert torch.equal(seen[0].init_P, began)


def test_the_line_to_theta_0_ends_with_the_batch_norm_that_it_began_with(parent, outputs):
    """The loss at its far end is that of the parent, whose examples are the same."""
    branch = made(outputs, f"start.run={parent.run_id}", "measure=[interpolation]", "budget.max_epochs=1")
    rows = {
        name: pd.read_parquet(next(run.folder.glob(f"rows/{name}-*")))
        for name, run in (("interpolation", branch), ("error", parent))
    }
    there, known = rows["interpolation"], rows["error"]
    far = there[(there.quantity == "loss") & (there.split == "train") & (there.x == 1)].value.item()
    loss = known[(known.quantity == "loss") & (known.split == "train")].value.item()
    assert far == pytest.approx(loss, rel=1e-5)


def test_a_resumed_branch_ends_as_one_that_was_not(parent, outputs, tmp_path, monkeypatch):
    words = (f"start.run={parent.run_id}", "start.epoch=1", "seed=2", "budget.keep=1")
    straight = made(outputs, *words)
    shutil.copytree(outputs / "runs" / parent.run_id, tmp_path / "runs" / parent.run_id)
    monkeypatch.setattr("gensweep.run.Progress.on_train_epoch_start", interrupt_at(2))
    with pytest.raises(Interrupted):
        made(tmp_path, *words)
    monkeypatch.undo()
    resumed = made(tmp_path, *words)
    assert resumed.run_id == straight.run_id
    assert same(solution(resumed), solution(straight))
    assert all(same(passed_by(resumed)[e], passed_by(straight)[e]) for e in range(5))


class Interrupted(Exception):
    pass


def interrupt_at(epoch):
    def hook(self, trainer, pl_module):
        if trainer.current_epoch == epoch:
            raise Interrupted

    return hook


def test_the_start_of_a_name_names_the_same_run_as_the_whole(parent, outputs):
    names = (parent.run_id[:5], parent.run_id)
    short, whole = (jobs_of(outputs, f"start.run={name}")[0] for name in names)
    assert short.run_id == whole.run_id
    assert short.config["start"]["run"] == parent.run_id


@pytest.mark.parametrize("name", ["123456", "12e4", "1234567890e5"])
def test_a_name_of_digits_is_text(tmp_path, name):
    for words, sweep in ((f"start.run={name}", False), (f"start.run={name},1{name}", True)):
        with pytest.raises(InputError, match=rf"^start.run={name}: {name} names 0 runs"):
            jobs_of(tmp_path, words, multirun=sweep)


def test_what_is_trained_outlives_its_parent(parent, outputs, tmp_path):
    words = (f"start.run={parent.run_id}", "start.epoch=3", "seed=3")
    shutil.copytree(outputs / "runs" / parent.run_id, tmp_path / "runs" / parent.run_id)
    made(tmp_path, *words)
    shutil.rmtree(tmp_path / "runs" / parent.run_id)
    point.cache_clear()
    assert jobs_of(tmp_path, *words)[0].finished()
    with pytest.raises(InputError, match=rf"start.run={parent.run_id}: {parent.run_id} names 0 runs"):
        jobs_of(tmp_path, *words, "seed=4")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["start.run=ffffffffffff"], r"start.run=f{12}: f{12} names 0 runs in .* \(none\); name one"),
        (["start.epoch=1"], "start.epoch=1 is an epoch of no run; set start.run"),
        (["start.run={}", "start.epoch=2"], "did not keep its weights .* it has 0, 1, 3, and null for"),
        (["start.run={}", "start.epoch=9"], "did not keep its weights .* it has 0, 1, 3, and null for"),
        (["start.run={}", "start.epoch=-1"], "start.epoch=-1 is not a whole number, 0 or more, or null"),
        (["start.run={}", "model.width=3"], "has another network; model and precision must be the same"),
        (["start.run={}", "precision=float64"], "has another network; model and precision must be the same"),
        (["start.run={}", "data=cifar10"], "was trained on digits, whose examples .* of cifar10"),
        (["start.run=[a]"], r"start.run=\['a'\] is not text"),
    ],
)
def test_what_cannot_be_started_from_is_refused_at_plan_time(parent, outputs, words, sentence, monkeypatch):
    monkeypatch.setattr(
        "gensweep.data.images.Images.pool",
        lambda *_: Available(100),
    )
    before = {p.name for p in (outputs / "runs").iterdir()}
    with pytest.raises(InputError, match=sentence):
        jobs_of(outputs, *(word.format(parent.run_id) for word in words))
    assert {p.name for p in (outputs / "runs").iterdir()} == before


def test_a_run_that_is_not_trained_cannot_be_started_from(tmp_path):
    Store(tmp_path).run("a" * 12).folder.mkdir(parents=True)
    with pytest.raises(InputError, match="has no undamaged solution to start from; it is planned"):
        jobs_of(tmp_path, "start.run=aaaa")


def test_a_parent_that_ended_early_kept_less(outputs):
    early = made(outputs, "budget.keep=[1,3]", "budget.target_loss=100", "seed=5")
    assert json.loads(early.read("outcome.json"))["epochs"] == 1
    with pytest.raises(InputError, match="it has 0, 1, and null"):
        jobs_of(outputs, f"start.run={early.run_id}", "start.epoch=3")
