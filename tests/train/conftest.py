"""A tiny problem, and one way to train on it."""

import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.table.store import write_atomically
from gensweep.train.fit import fit
from gensweep.train.protocol import Protocol
from gensweep.train.task import Task


def split(n, seed):
    """Points in the plane whose class is the sign of their first coordinate."""
    x = Stream(seed).normal(2 * n).reshape(n, 2)
    return Split(x, (x[:, 0] > 0).astype(np.int64), np.arange(n))


@pytest.fixture
def data():
    return made(poison=12)


def made(train=20, confusion=4, poison=12):
    splits = split(train, 1), split(confusion, 2), split(poison, 3), split(30, 4)
    return Data(*splits, num_classes=2, mean=np.zeros(1, np.float32), std=np.ones(1, np.float32))


def network(dropout=0.0):
    def build():
        return torch.nn.Sequential(torch.nn.Dropout(dropout), MLP((2,), 2, [6]))

    return drawn(build, Stream(0).child("model"))


@pytest.fixture
def task():
    """Make a task from data and whatever of its protocol matters."""

    def task(data, dropout=0.0, **protocol):
        settings = {"poison_factor": 0.3, "batch_size": 8, "optimiser": adam, "max_epochs": 6, **protocol}
        return Task(network(dropout), data, Protocol(**settings), Stream(0).child("train"))

    return task


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


@pytest.fixture
def train(tmp_path):
    """Fit in a folder; the same folder again resumes."""

    def train(task, folder="run", callbacks=()):
        (tmp_path / folder).mkdir(exist_ok=True)
        fit(task, tmp_path / folder, write_atomically, callbacks, logger=False)
        return tmp_path / folder

    return train


@pytest.fixture(name="made")
def made_fixture():
    return made


@pytest.fixture
def weights():
    """All parameters as bytes, so that equal means bit for bit."""
    return lambda task: b"".join(p.detach().numpy().tobytes() for p in task.model.parameters())
