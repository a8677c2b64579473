"""A training that a signal asks to end leaves a checkpoint of that very update, and loses nothing."""

import io
import os
import signal

import pytest
import torch
from lightning import Callback

from gensweep import preemption
from gensweep.preemption import Preempted
from gensweep.train.batches import Bunches
from gensweep.train.checkpoint import payload
from gensweep.train.fit import CHECKPOINT
from gensweep.train.leave import between_epochs
from tests.interrupt import InterruptAt, Interrupted

CHEAP = {"max_epochs": 4, "dropout": 0.3}


@pytest.fixture(autouse=True)
def handlers():
    """Signals are heeded here, and nothing of it stays."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    preemption.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    another_process()


def another_process():
    """What a new one would begin with."""
    preemption._asked, preemption._patient = 0, False


@pytest.fixture
def asked_at(monkeypatch):
    """Let the task be asked to end while it makes its update number k, counted from 1."""

    def asked_at(task, k, number=signal.SIGTERM):
        update = task.update

        def interrupted(batch):
            if task.global_step + 1 == k:
                os.kill(os.getpid(), number)
            return update(batch)

        monkeypatch.setattr(task, "update", interrupted)
        return task

    return asked_at


@pytest.fixture
def small_bunches(monkeypatch):
    monkeypatch.setattr("gensweep.train.task.Bunches", lambda batches: Bunches(batches, 2))


class Met(Callback):
    """The number of the update that each turn of Lightning's loop began with."""

    def __init__(self):
        self.updates = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.updates.append(trainer.global_step)


def loops(folder):
    checkpoint = torch.load(io.BytesIO(payload(folder / CHECKPOINT)), weights_only=True)
    return checkpoint["epoch"], checkpoint["global_step"], checkpoint["loops"]["fit_loop"]


@pytest.mark.parametrize("protocol", [{}, {"check_every": 2}, {"max_steps": 11}, {"target_loss": 0.6}])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 10])
def test_the_same_bits_come_out_as_if_nobody_had_asked(
    task, data, train, weights, asked_at, small_bunches, at, protocol
):
    whole = task(data, **CHEAP, **protocol)
    train(whole, "whole")
    if whole.global_step < at:
        pytest.skip("the target was reached before")
    with pytest.raises(Preempted, match="asked to end by SIGTERM; the same command goes on") as end:
        train(asked_at(task(data, **CHEAP, **protocol), at))
    assert end.value.code == 143
    another_process()
    resumed, met = task(data, **CHEAP, **protocol), Met()
    train(resumed, callbacks=[met])
    assert weights(resumed) == weights(whole)
    assert resumed.global_step == whole.global_step
    assert met.updates[0] == at


def test_a_second_preemption_loses_nothing_either(task, data, train, weights, asked_at):
    whole = task(data, **CHEAP)
    train(whole, "whole")
    for at in (2, 4, 5, 11):
        with pytest.raises(Preempted):
            train(asked_at(task(data, **CHEAP), at))
        another_process()
    resumed = task(data, **CHEAP)
    train(resumed)
    assert weights(resumed) == weights(whole)


@pytest.mark.parametrize("size", [1, 2, 20])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_limit_on_the_updates_holds_alike_for_a_training_that_was_cut_off(
    task, data, train, weights, monkeypatch, epoch, size
):
    monkeypatch.setattr("gensweep.train.task.Bunches", lambda batches: Bunches(batches, size))
    whole, resumed = (task(data, **CHEAP, max_steps=11) for _ in range(2))
    train(whole, "whole")
    with pytest.raises(Interrupted):
        train(task(data, **CHEAP, max_steps=11), callbacks=[InterruptAt(epoch)])
    train(resumed)
    assert resumed.global_step == whole.global_step == 11
    assert weights(resumed) == weights(whole)


def test_the_running_mean_of_the_objective_goes_on(task, data, train, asked_at):
    whole, resumed = task(data, **CHEAP, check_every=4), task(data, **CHEAP, check_every=4)
    train(whole, "whole")
    with pytest.raises(Preempted):
        train(asked_at(task(data, **CHEAP, check_every=4), 8))
    another_process()
    train(resumed)
    expected = whole.trainer.callback_metrics["objective"].item()
    assert resumed.trainer.callback_metrics["objective"].item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("max_steps", [None, 100, 2, 7])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_account_between_epochs_is_lightnings_own(task, data, train, small_bunches, epochs, max_steps):
    _, _, account = loops(train(task(data, max_epochs=epochs, max_steps=max_steps)))
    ours = between_epochs(1 if max_steps == 2 else epochs, 2)
    assert {key: account[key] for key in ours} == ours


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_outside_training_the_end_comes_at_once(number):
    with pytest.raises(Preempted) as end:
        os.kill(os.getpid(), number)
    assert end.value.code == 128 + number


def test_a_second_ctrl_c_ends_at_once_and_a_second_termination_changes_nothing():
    preemption.patient(True)
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    assert preemption.asked() == signal.SIGTERM
    with pytest.raises(Preempted):
        os.kill(os.getpid(), signal.SIGINT)
