"""Weights on the way: those of a shorter training, bit for bit, whatever interrupts the longer one."""

import os

import pytest
import torch

from gensweep.solutions import state
from gensweep.table.store import write_atomically
from gensweep.train.budget import kept_epochs
from gensweep.train.fit import CHECKPOINT
from gensweep.train.keep import Keep, kept, place, resumable
from tests.interrupt import InterruptAt, Interrupted


@pytest.fixture
def keeping(task, data, train, tmp_path):
    """Train with weights kept, perhaps not to the end; the same folder again resumes."""

    def keeping(keep, folder, *callbacks, **settings):
        one = task(data, **settings)
        train(one, folder, [Keep(tmp_path / folder, keep, write_atomically), *callbacks])
        return one

    return keeping


def same(one, other):
    return one.keys() == other.keys() and all(
        one[k].dtype == other[k].dtype and torch.equal(one[k], other[k]) for k in one
    )


def files(folder):
    return {int(name.partition(".")[0]) for name in os.listdir(folder / "kept")}


@pytest.mark.parametrize("keep", [2, [1, 3, 4]])
def test_kept_weights_are_those_that_a_training_of_so_many_epochs_ends_with(
    keeping, task, data, train, tmp_path, keep
):
    keeping(keep, "long", dropout=0.5)
    assert files(tmp_path / "long") == {*kept_epochs(keep, 6)}
    for epoch, weights in kept(tmp_path / "long", kept_epochs(keep, 6)).items():
        short = task(data, dropout=0.5, max_epochs=epoch)
        train(short, f"short{epoch}")
        assert same(weights, state(short.model))


@pytest.mark.parametrize("check_every", [1, 3])
def test_a_resumed_training_ends_with_the_same_kept_weights(keeping, tmp_path, check_every):
    keeping(1, "straight", check_every=check_every)
    with pytest.raises(Interrupted):
        keeping(1, "resumed", InterruptAt(4), check_every=check_every)
    assert files(tmp_path / "resumed") == {1, 2, 3, 4}
    keeping(1, "resumed", check_every=check_every)
    for epoch in range(1, 7):
        assert (
            place(tmp_path / "straight", epoch).read_bytes()
            == place(tmp_path / "resumed", epoch).read_bytes()
        )


def test_keeping_changes_no_bit_of_the_training(keeping, weights):
    assert weights(keeping(None, "without")) == weights(keeping([1, 2], "with"))


def test_a_target_that_ends_training_early_keeps_fewer(keeping, tmp_path):
    one = keeping(1, "run", poison_factor=0, max_epochs=500, target_loss=0.3)
    assert one.target_reached
    assert 3 < max(files(tmp_path / "run")) < 500


@pytest.mark.parametrize(
    "damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-1] + b"x")]
)
@pytest.mark.parametrize(("epoch", "lost"), [(2, True), (4, False)])
def test_a_checkpoint_is_of_use_with_all_that_was_kept_before_it(keeping, tmp_path, damage, epoch, lost):
    """Checks after epochs 3 and 6: what comes after the checkpoint is made again anyway."""
    with pytest.raises(Interrupted):
        keeping(2, "run", InterruptAt(5), check_every=3)
    folder = tmp_path / "run"
    assert resumable(folder, folder / CHECKPOINT, 2)
    damage(place(folder, epoch))
    assert resumable(folder, folder / CHECKPOINT, 2) is not lost
    assert resumable(folder, folder / CHECKPOINT, None)


def test_a_damaged_file_is_refused(keeping, tmp_path):
    keeping([1], "run")
    path = place(tmp_path / "run", 1)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="damaged"):
        kept(tmp_path / "run", [1])
