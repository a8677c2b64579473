"""When training stops, what it refuses, and what it leaves alone."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning import Callback

from gensweep.rng import Stream
from gensweep.train.batches import Bunches
from gensweep.train.callback import MeasureAtEnd
from gensweep.train.fit import CHECKPOINT
from gensweep.train.schedule import Schedule
from gensweep.train.task import Diverged


class Watch(Callback):
    """Keeps the clean loss after every epoch."""

    def __init__(self):
        self.losses = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.losses.append(pl_module.clean_loss)


class ExplodeAt(Callback):
    """From this epoch on a step goes to infinity."""

    def __init__(self, epoch):
        self.epoch, self.exploded = epoch, False

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch:
            self.exploded = True
            trainer.optimizers[0].param_groups[0]["lr"] = 1e36


def wild(parameters):
    return torch.optim.SGD(parameters, lr=1e6)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1)


def spoilt(data):
    data.train.x[3] = np.nan
    return data


def clean_loss(task):
    x, y = (torch.cat(parts) for parts in zip(task.splits["train"], task.splits["confusion"], strict=True))
    with torch.no_grad():
        return F.cross_entropy(task.model.eval()(x).double(), y).item()


def test_training_stops_at_the_first_check_in_eval_mode_at_the_target(task, data, train):
    watch = Watch()
    one = task(data, dropout=0.5, poison_factor=0, max_epochs=500, target_loss=0.3)
    train(one, callbacks=[watch])
    assert 1 < len(watch.losses) < 500
    assert min(watch.losses) > 0.3
    assert one.clean_loss <= 0.3
    assert one.target_reached
    assert one.clean_loss == pytest.approx(clean_loss(one), rel=1e-12)


def test_a_target_out_of_reach_is_not_reached(task, data, train):
    one = task(data, max_epochs=2, target_loss=1e-9)
    train(one)
    assert not one.target_reached


def test_a_run_resumed_where_it_reached_the_target_trains_no_further(task, data, train, weights):
    settings = {"poison_factor": 0, "max_epochs": 500, "target_loss": 0.3}
    facts = []
    ends = [MeasureAtEnd(torch.zeros(1), lambda solution, outcome: facts.append(outcome))]
    first, second = task(data, **settings), task(data, **settings)
    train(first, callbacks=ends)
    train(second, callbacks=ends)
    assert facts[0]["updates"] > 3
    assert facts[0] == facts[1]
    assert weights(first) == weights(second)


def test_evaluation_sees_no_dropout_and_puts_train_mode_back(task, data):
    one = task(data, dropout=0.5)
    one.setup("fit")
    one.model.train()
    assert one.evaluate() == one.evaluate()
    assert one.model.training
    assert one.clean_loss == pytest.approx(clean_loss(one), rel=1e-12)
    one.model.eval()
    one.evaluate()
    assert not one.model.training


def test_every_split_is_evaluated_apart_and_an_empty_one_is_left_out(task, made):
    one = task(made(confusion=0))
    one.setup("fit")
    numbers = one.evaluate()
    assert {name.rpartition("_")[0] for name in numbers} == {"train", "clean", "poison", "test"}
    x, y = one.splits["poison"]
    p_y = one.model.eval()(x).double().softmax(1).gather(1, y[:, None])
    assert numbers["poison_loss"] == pytest.approx(-torch.log(1 - p_y).mean().item(), rel=1e-12)


def test_evaluation_in_chunks_is_evaluation_at_once(task, data, monkeypatch):
    one = task(data)
    one.setup("fit")
    whole = one.evaluate()
    monkeypatch.setattr("gensweep.train.task.piece", lambda *given: 7)
    assert one.evaluate() == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("batch_size", [8, 64])
def test_a_learning_rate_out_of_bounds_diverges(task, data, train, batch_size):
    one = task(data, batch_size=batch_size, optimiser=wild, max_epochs=200)
    with pytest.raises(Diverged, match=r"became (nan|inf) (at|after) update \d+"):
        train(one)


def test_a_nan_in_the_data_diverges_at_once_without_a_checkpoint(task, data, train, tmp_path):
    with pytest.raises(Diverged, match=r"the objective became nan at update [012]$"):
        train(task(spoilt(data)))
    assert not (tmp_path / "run" / CHECKPOINT).exists()


@pytest.mark.parametrize("size", [1, 2, 20])
def test_the_update_that_diverged_is_named(task, data, train, monkeypatch, size):
    """Example 3 is spoilt when epoch 2 begins, and met in one of its three steps."""

    class Spoil(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                pl_module.batches.clean[0][3] = math.nan

    monkeypatch.setattr("gensweep.train.task.Bunches", lambda batches: Bunches(batches, size))
    order = Stream(0).child("train", "clean", 2).permutation(24).tolist()
    with pytest.raises(Diverged, match=rf"became nan at update {2 * 3 + order.index(3) // 8}$"):
        train(task(data), callbacks=[Spoil()])


@pytest.mark.parametrize("limit", [{}, {"max_steps": 7}, {"max_steps": 8}, {"max_steps": 9}])
def test_how_many_steps_make_a_bunch_changes_no_bit(task, data, train, weights, monkeypatch, limit):
    ends, facts, rates = [], [], Rates()
    settings = {"dropout": 0.5, "batch_size": 5, "schedule": Schedule("cosine"), **limit}
    for size in (1, 3, 20):
        monkeypatch.setattr("gensweep.train.task.Bunches", lambda b, size=size: Bunches(b, size))
        one = task(data, **settings)
        end = MeasureAtEnd(torch.zeros(1), lambda solution, outcome: facts.append(outcome))
        train(one, f"by {size}", [end, rates])
        ends.append(weights(one))
    assert len(set(ends)) == 1
    assert facts == [facts[0]] * 3
    assert len(rates.rates) == 3 * facts[0]["updates"] == 3 * limit.get("max_steps", 30)


@pytest.mark.parametrize(("batch_size", "what"), [(8, "objective"), (64, "clean loss")])
def test_the_checkpoint_before_a_divergence_stays_as_it_was(
    task, data, train, tmp_path, weights, batch_size, what
):
    explode = ExplodeAt(3)
    with pytest.raises(Diverged, match=f"the {what} became"):
        train(task(data, batch_size=batch_size), callbacks=[explode])
    assert explode.exploded
    straight, resumed = (task(data, batch_size=batch_size, max_epochs=3) for _ in range(2))
    good = train(straight, "straight") / CHECKPOINT
    assert (tmp_path / "run" / CHECKPOINT).exists()
    train(resumed, "run")
    assert weights(resumed) == weights(straight)
    assert good.exists()


@pytest.mark.parametrize("limit", [{"max_epochs": 3}, {"max_epochs": 9, "max_steps": 3}])
def test_an_explosion_after_the_last_check_is_a_divergence(task, data, train, limit):
    explode = ExplodeAt(2)
    with pytest.raises(Diverged, match="the clean loss became nan"):
        train(task(data, batch_size=64, check_every=2, **limit), callbacks=[explode])
    assert explode.exploded


def test_without_weight_a_poison_set_changes_no_bit(task, made, train, weights):
    poisoned = made(poison=12)
    poisoned.poison.x[:] = np.inf  # nothing of it may be looked at, not even times zero
    with_set, without = task(poisoned, poison_factor=0), task(made(poison=0), poison_factor=0)
    train(with_set, "a")
    train(without, "b")
    assert weights(with_set) == weights(without)


def test_with_weight_it_does(task, made, train, weights):
    some, none = task(made(poison=12), poison_factor=0.3), task(made(poison=12), poison_factor=0)
    train(some, "a")
    train(none, "b")
    assert weights(some) != weights(none)


class Rates(Callback):
    """Keeps the learning rate of every update."""

    def __init__(self):
        self.rates = []

    def on_train_start(self, trainer, pl_module):
        trainer.optimizers[0].register_step_pre_hook(
            lambda optimiser, *_: self.rates.append(optimiser.param_groups[0]["lr"])
        )


def test_the_schedule_moves_the_learning_rate_at_its_milestones(task, data, train):
    rates = Rates()
    schedule = Schedule("step", (1 / 3, 2 / 3), 0.1, "linear", 4)
    train(task(data, schedule=schedule), callbacks=[rates])
    assert rates.rates == pytest.approx([0.02] * 6 + [0.002] * 6 + [0.0002] * 6)


def test_a_cosine_moves_it_at_every_update(task, data, train):
    rates = Rates()
    train(task(data, schedule=Schedule("cosine")), callbacks=[rates])
    assert rates.rates == pytest.approx([0.005 * (1 + math.cos(math.pi * k / 18)) for k in range(18)])


def test_milestones_are_fractions_of_the_updates_that_there_will_be(task, data, train):
    rates = Rates()
    train(task(data, max_epochs=99, max_steps=8, schedule=Schedule("step", (0.5,))), callbacks=[rates])
    assert rates.rates == pytest.approx([0.01] * 4 + [0.001] * 4)


def test_a_clipped_gradient_has_the_largest_norm_allowed(task, data, train):
    class Norms(Callback):
        def on_train_start(self, trainer, pl_module):
            trainer.optimizers[0].register_step_pre_hook(
                lambda *_: seen.append(torch.cat([p.grad.flatten() for p in pl_module.model.parameters()]))
            )

    seen = []
    train(task(data), "free", callbacks=[Norms()])
    assert max(g.norm().item() for g in seen) > 0.02
    seen.clear()
    train(task(data, clip_norm=0.02), callbacks=[Norms()])
    assert max(g.norm().item() for g in seen) == pytest.approx(0.02, rel=1e-4)
    clipped, free = task(data, clip_norm=1e-12, optimiser=sgd), task(data, optimiser=sgd)
    before = [p.clone() for p in clipped.model.parameters()]
    for one, folder in ((clipped, "clipped"), (free, "unclipped")):
        train(one, folder)
    assert (
        max((p - q).abs().max().item() for p, q in zip(before, clipped.model.parameters(), strict=True))
        < 1e-9
    )
    assert (
        max((p - q).abs().max().item() for p, q in zip(before, free.model.parameters(), strict=True)) > 1e-3
    )


def test_poison_is_learnt_to_be_wrong(task, made, train):
    one = task(made(poison=12), poison_factor=0.9, max_epochs=60)
    train(one)
    numbers = one.evaluate()
    assert numbers["poison_accuracy"] < 0.5
    assert numbers["poison_loss"] < math.log(2)


@pytest.mark.parametrize(("steps", "epochs"), [(7, 3), (None, 6)])
def test_the_budget_ends_training_at_whichever_limit_comes_first(task, data, train, steps, epochs):
    facts = []
    ends = [MeasureAtEnd(torch.zeros(1), lambda solution, outcome: facts.append(outcome))]
    train(task(data, max_steps=steps), callbacks=ends)
    assert facts == [{"epochs": epochs, "updates": steps or 18}]
