"""Which examples meet in a batch."""

import itertools
import math

import pytest
import torch

from gensweep.rng import Stream
from gensweep.train.batches import Batches, Bunches


def examples(n, offset=0):
    """Inputs that say which example they are."""
    number = torch.arange(n) + offset
    return number.float()[:, None], number


def batches(clean=20, poison=12, size=8, epoch=0, seed=0, made=0):
    step = epoch * math.ceil(clean / size) + made
    return Batches(examples(clean), examples(poison, 1000), size, Stream(seed).child("train"), lambda: step)


def clean(made):
    return [b[1].tolist() for b in made]


def poison(made):
    return [b[3].tolist() for b in made]


def run(epochs, **settings):
    return [b for e in range(epochs) for b in batches(epoch=e, **settings)]


def test_the_order_is_a_function_of_seed_and_epoch():
    assert clean(batches(epoch=3)) == clean(batches(epoch=3))
    assert poison(batches(epoch=3)) == poison(batches(epoch=3))
    assert clean(batches(epoch=3)) != clean(batches(epoch=4))
    assert clean(batches(epoch=3)) != clean(batches(epoch=3, seed=1))


@pytest.mark.parametrize("size", [1, 7, 8, 20, 64])
def test_every_clean_example_comes_once_per_epoch(size):
    seen = [i for b in clean(batches(size=size, epoch=2)) for i in b]
    assert sorted(seen) == list(range(20))


def test_inputs_and_labels_stay_together():
    for x, y, poison_x, poison_y, _ in batches():
        assert x[:, 0].tolist() == y.tolist()
        assert poison_x[:, 0].tolist() == poison_y.tolist()


@pytest.mark.parametrize("poisoned", [0, 1, 12, 500])
def test_steps_and_clean_batches_depend_on_no_poison_set(poisoned):
    made = batches(poison=poisoned)
    assert len(made) == len(list(made)) == 3
    assert clean(made) == clean(batches())


@pytest.mark.parametrize("size", [64, 8, 3])
def test_the_last_clean_batch_may_be_smaller_and_the_poison_batch_never_is(size):
    assert sum(len(b) for b in clean(batches(size=size))) == 20
    assert {len(b) for b in poison(run(4, size=size))} == {min(size, 12)}


def test_poison_turns_at_a_pace_of_its_own():
    """12 examples in batches of 4: each turn of 3 steps sees all of them, across epochs of 5 steps."""
    made = poison(run(3, size=4))
    assert len(made) == 15
    turns = [sorted(itertools.chain(*made[i : i + 3])) for i in range(0, 15, 3)]
    assert turns == [[*range(1000, 1012)]] * 5
    assert made[0:3] != made[3:6]


def test_an_epoch_begun_anew_goes_on_where_the_poison_stood():
    assert poison(run(3, size=4))[10:15] == poison(batches(size=4, epoch=2))


def test_without_poison_the_poison_batch_is_empty():
    for _, _, poison_x, poison_y, _ in batches(poison=0):
        assert poison_x.shape == (0, 1)
        assert len(poison_y) == 0


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_bunches_are_the_batches_some_at_a_time(size):
    bunches = Bunches(batches(size=4), size)
    found = [list(bunch) for bunch in bunches]
    assert len(found) == len(bunches)
    assert [len(bunch) for bunch in found[:-1]] == [size] * (len(bunches) - 1)
    together = list(itertools.chain(*found))
    assert clean(together) == clean(batches(size=4))
    assert poison(together) == poison(batches(size=4))


@pytest.mark.parametrize("made", [0, 1, 2, 3, 4])
def test_of_an_epoch_that_was_begun_those_are_left_that_were_not_met(made):
    whole, left = list(batches(epoch=2, size=5)), list(batches(epoch=2, size=5, made=made))
    assert clean(left) == clean(whole)[made:] or made == 4
    assert poison(left) == poison(whole)[made:] or made == 4
    if made == 4:  # the next epoch
        assert clean(left) == clean(batches(epoch=3, size=5))
