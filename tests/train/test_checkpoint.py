"""A checkpoint is whole or refused, and training goes on from it bit for bit."""

import hashlib
import io
import os
import pickle

import pytest
import torch
from lightning import Callback

from gensweep.table.store import write_atomically
from gensweep.train.checkpoint import SafeCheckpointIO, payload, usable
from gensweep.train.fit import CHECKPOINT
from gensweep.train.schedule import Schedule
from tests.interrupt import InterruptAt, Interrupted

CONTENT = {"state_dict": {"w": torch.arange(5.0)}, "epoch": 3}


class Epochs(Callback):
    """Counts the epochs that are really trained."""

    def __init__(self):
        self.trained = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.trained.append(trainer.current_epoch)


class Payload:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "last.ckpt"
    SafeCheckpointIO(write_atomically).save_checkpoint(CONTENT, path)
    return path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def load(path):
    return SafeCheckpointIO(write_atomically).load_checkpoint(path)


def disguised(path, content):
    """Bytes under a hash of their own, as an attacker would put them there."""
    path.write_bytes(hashlib.sha256(content).digest() + content)


def test_what_is_saved_is_loaded(path):
    assert usable(path)
    back = load(path)
    assert back["epoch"] == 3
    assert torch.equal(back["state_dict"]["w"], CONTENT["state_dict"]["w"])


@pytest.mark.parametrize("place", [0, 31, 32, 200, -1])
def test_a_flipped_bit_is_refused(path, place):
    flip(path, place)
    assert not usable(path)
    with pytest.raises(ValueError, match=r"last.ckpt is damaged: its SHA-256 does not match"):
        load(path)


def test_torch_itself_would_not_have_noticed(path):
    """The reason for the hash: a flipped bit in the weights loads without a word."""
    content = payload(path)
    place = content.index(CONTENT["state_dict"]["w"].numpy().tobytes()) + 32
    flip(path, place + 12)
    assert path.read_bytes()[32:] != content
    (path.parent / "bare").write_bytes(path.read_bytes()[32:])
    silently = torch.load(path.parent / "bare", weights_only=True)
    assert not torch.equal(silently["state_dict"]["w"], CONTENT["state_dict"]["w"])
    assert not usable(path)


@pytest.mark.parametrize("size", [0, 10, 32, 400, -1])
def test_a_truncated_file_is_refused(path, size):
    path.write_bytes(path.read_bytes()[:size])
    assert not usable(path)


def test_no_file_is_no_checkpoint(tmp_path):
    assert not usable(tmp_path / "last.ckpt")


def zipped(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    return buffer.getvalue()


def pickled(thing):
    return pickle.dumps(thing, protocol=2)


@pytest.mark.parametrize("dump", [zipped, pickled])
def test_a_malicious_pickle_is_not_executed(path, tmp_path, dump):
    marker = tmp_path / "executed"
    content = dump(Payload(marker))
    if dump is zipped:
        torch.load(io.BytesIO(content), weights_only=False)
    else:
        pickle.loads(content)  # noqa: S301
    assert marker.exists()  # the payload works where it is let in
    marker.rmdir()
    disguised(path, content)
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        SafeCheckpointIO(write_atomically).load_checkpoint(path, weights_only=False)
    assert not marker.exists()


@pytest.mark.parametrize("settings", [{}, {"check_every": 3}, {"poison_factor": 0}, {"batch_size": 5}])
def test_three_epochs_and_three_more_are_six_bit_for_bit(task, data, train, weights, settings):
    straight, first, second = (task(data, max_epochs=n, **settings) for n in (6, 3, 6))
    train(straight, "straight")
    train(first, "resumed")
    epochs = Epochs()
    train(second, "resumed", [epochs])
    assert epochs.trained == [3, 4, 5]
    assert weights(second) == weights(straight)
    assert weights(first) != weights(straight)


@pytest.mark.parametrize(
    "settings",
    [
        {"dropout": 0.5},
        {"schedule": Schedule("step", (0.3, 0.7))},
        {"schedule": Schedule("cosine", batch_rule="sqrt", reference_batch=4), "clip_norm": 0.1},
    ],
    ids=["dropout", "step", "cosine, clipped"],
)
def test_an_interrupted_training_ends_as_one_that_was_not(task, data, train, weights, settings):
    straight, first, second = (task(data, **settings) for _ in range(3))
    train(straight, "straight")
    with pytest.raises(Interrupted):
        train(first, "resumed", [InterruptAt(3)])
    torch.rand(7)  # whatever else draws from the global generator
    epochs = Epochs()
    train(second, "resumed", [epochs])
    assert epochs.trained == [3, 4, 5]
    assert weights(second) == weights(straight)


@pytest.mark.parametrize("damage", [lambda p: flip(p, 500), lambda p: p.write_bytes(p.read_bytes()[:-9])])
def test_with_a_damaged_checkpoint_training_begins_anew(task, data, train, weights, damage):
    straight, first, second = (task(data, max_epochs=n) for n in (6, 3, 6))
    train(straight, "straight")
    folder = train(first, "resumed")
    damage(folder / CHECKPOINT)
    epochs = Epochs()
    train(second, "resumed", [epochs])
    assert epochs.trained == [0, 1, 2, 3, 4, 5]
    assert weights(second) == weights(straight)


def test_a_checkpoint_is_written_beside_the_others_and_nothing_else_is(task, data, train):
    folder = train(task(data))
    assert os.listdir(folder) == [CHECKPOINT]
