"""How many updates there are: matched in epochs or in updates, they are what was asked for."""

import math

import pytest
import torch
from lightning import Callback

from gensweep.train.budget import limits
from gensweep.train.callback import MeasureAtEnd
from gensweep.train.schedule import Schedule

CLEAN, REFERENCE = 24, 8  # examples of the tiny problem; 3 updates per epoch at the reference


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_train_start(self, trainer, pl_module):
        def note(optimiser, args, kwargs):
            self.rates.append(optimiser.param_groups[0]["lr"])

        trainer.optimizers[0].register_step_pre_hook(note)


@pytest.fixture
def trained(task, data, train):
    """Train on a budget at a batch size; what came out, and the learning rates."""

    def trained(batch_size, match, max_epochs=4, max_steps=None, **settings):
        budget = {"max_epochs": max_epochs, "max_steps": max_steps, "match": match, "keep": None}
        ends = limits(budget, CLEAN, batch_size, REFERENCE)
        one = task(data, batch_size=batch_size, **ends, **settings)
        rates, facts = Rates(), []
        folder = f"{batch_size}{match}{max_epochs}{max_steps}{len(str(settings))}"
        train(
            one,
            folder,
            [rates, MeasureAtEnd(torch.zeros(1), lambda solution, outcome: facts.append(outcome))],
        )
        return one, facts[0], rates.rates

    return trained


@pytest.mark.parametrize("batch_size", [1, 5, 8, 12, 24, 100])
@pytest.mark.parametrize("poison_factor", [0.0, 0.3])
def test_matched_in_updates_every_batch_size_makes_as_many(trained, batch_size, poison_factor):
    _, facts, _ = trained(batch_size, "updates", poison_factor=poison_factor)
    assert facts["updates"] == 4 * 3
    assert facts["epochs"] == math.ceil(12 / math.ceil(CLEAN / batch_size))


@pytest.mark.parametrize(("batch_size", "updates"), [(1, 96), (5, 20), (8, 12), (24, 4), (100, 4)])
def test_matched_in_epochs_a_larger_batch_makes_fewer(trained, batch_size, updates):
    _, facts, _ = trained(batch_size, "epochs")
    assert facts == {"epochs": 4, "updates": updates}


def test_at_the_reference_both_are_one_training_bit_for_bit(trained, weights):
    assert weights(trained(REFERENCE, "updates")[0]) == weights(trained(REFERENCE, "epochs")[0])


@pytest.mark.parametrize(("max_steps", "updates"), [(5, 5), (50, 12)])
def test_a_limit_on_the_updates_still_holds(trained, max_steps, updates):
    assert trained(24, "updates", max_steps=max_steps)[1]["updates"] == updates


@pytest.mark.parametrize("batch_size", [5, 24])
def test_milestones_are_fractions_of_the_matched_updates(trained, batch_size):
    schedule = Schedule("step", (0.5, 0.75), 0.1, reference_batch=REFERENCE)
    _, _, rates = trained(batch_size, "updates", schedule=schedule)
    assert rates == pytest.approx([0.01] * 6 + [0.001] * 3 + [0.0001] * 3)


def test_checks_are_after_epochs_of_this_batch_size(trained):
    """A target that any network meets ends training at the first check: one update of a full batch each."""
    _, facts, _ = trained(24, "updates", check_every=3, target_loss=100.0)
    assert facts == {"epochs": 3, "updates": 3}
