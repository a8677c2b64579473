"""Two processes that share every batch end with the weights of one (D3)."""

import math
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.models.build import drawn
from gensweep.ranks import Ranks
from gensweep.rng import Stream
from gensweep.table.store import write_atomically
from gensweep.train.fit import fit
from gensweep.train.protocol import Protocol
from gensweep.train.task import Diverged, Task
from tests.pair import pair

# float64, up to ten updates and more: only the order of sums differs.
TOLERANCE = 1e-11


def split(n, seed):
    x = Stream(seed).normal(n * 2 * 6 * 6).reshape(n, 2, 6, 6)
    return Split(x, (x.mean((1, 2, 3)) > 0).astype(np.int64), np.arange(n))


def data(train=19):
    """Nineteen and four examples: batches of eight leave seven, shared four and three."""
    splits = split(train, 1), split(4, 2), split(7, 3), split(9, 4)
    return Data(*splits, num_classes=2, mean=np.full(2, 0.1, np.float32), std=np.full(2, 0.7, np.float32))


def plain():
    return nn.Sequential(nn.Flatten(), nn.Linear(72, 5), nn.Tanh(), nn.Linear(5, 2))


def straight():
    return nn.Sequential(nn.Flatten(), nn.Linear(72, 2))


def normed():
    return nn.Sequential(
        nn.Conv2d(2, 3, 3),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(48, 4),
        nn.BatchNorm1d(4),
        nn.Linear(4, 2),
    )


def dropping():
    return nn.Sequential(
        nn.Dropout2d(0.4), nn.Flatten(), nn.Linear(72, 6), nn.Tanh(), nn.Dropout(0.5), nn.Linear(6, 2)
    )


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-3)


def trained(ranks, build, sync=True, train=19, **protocol):
    """Weights and buffers, what the last evaluation said, and how many updates were made."""
    torch.set_num_threads(1)
    settings = {"poison_factor": 0.3, "batch_size": 8, "optimiser": sgd, "max_epochs": 4, **protocol}
    model = drawn(build, Stream(0).child("model")).double()
    task = Task(model, data(train), Protocol(**settings), Stream(0).child("train"), sync_batch_norm=sync)
    folder = ranks.agreed(tempfile.mkdtemp())
    try:
        fit(task, Path(folder), write_atomically, [], logger=False)
    except Diverged as error:
        return str(error)
    state = {name: t.tolist() for name, t in model.state_dict().items()}
    return state, task.evaluate(), task.trainer.global_step


def close(one, other):
    assert one[0].keys() == other[0].keys()
    for name in one[0]:
        assert np.allclose(one[0][name], other[0][name], rtol=TOLERANCE, atol=TOLERANCE), name
    assert one[1] == pytest.approx(other[1], rel=TOLERANCE)
    assert one[2] == other[2]


CASES = {
    "plain": partial(trained, build=plain),
    "no poison": partial(trained, build=plain, poison_factor=0),
    "batches smaller than the processes are many": partial(trained, build=plain, batch_size=1, train=5),
    "adam": partial(trained, build=plain, optimiser=torch.optim.Adam),
    "clipped": partial(trained, build=plain, clip_norm=0.05),
    "batch norm": partial(trained, build=normed),
    "dropout": partial(trained, build=dropping),
    "crops": partial(trained, build=normed, augment=True),
    "stops at a target": partial(trained, build=plain, target_loss=0.1, max_epochs=300, poison_factor=0),
}


def all_cases(ranks):
    return {name: case(ranks) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def both():
    return all_cases(Ranks()), pair(all_cases)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_end_where_one_ends(both, name):
    alone, (first, second) = both
    assert first[name] == second[name]
    close(first[name], alone[name])


def test_the_target_was_met_on_the_way(both):
    _, numbers, updates = both[0]["stops at a target"]
    assert numbers["clean_loss"] <= 0.1
    assert 3 < updates < 900


def test_dropout_and_crops_were_really_on(both):
    """With an epoch more the weights move by far more than the tolerance, and so they do with other masks."""
    with_dropout = both[0]["dropout"][0]["2.weight"]
    without = trained(Ranks(), partial(plain))[0]["1.weight"]
    assert not np.allclose(with_dropout, np.resize(without, np.shape(with_dropout)), atol=1e-3)


def unsynchronised(ranks):
    return trained(ranks, normed, sync=False)


def test_batch_norm_over_parts_of_a_batch_is_another_training_but_one_for_all():
    alone = trained(Ranks(), normed)
    first, second = pair(unsynchronised)
    assert first == second
    assert not np.allclose(first[0]["0.weight"], alone[0]["0.weight"], atol=1e-4)


def wild(ranks):
    return trained(ranks, straight, optimiser=partial(torch.optim.SGD, lr=1e307), max_epochs=50)


def test_both_say_that_the_loss_diverged_and_when():
    alone = wild(Ranks())
    assert "became" in alone
    assert pair(wild) == [alone, alone]


def sick_share(ranks):
    """Only rank 0 meets the example that is not a number: all must hear of it."""
    spoilt = data()
    spoilt.train.x[:] = np.where(np.arange(19)[:, None, None, None] == 3, math.nan, spoilt.train.x)
    task = Task(plain().double(), spoilt, Protocol(0.0, 23, sgd, 2), Stream(0).child("train"))
    folder = ranks.agreed(tempfile.mkdtemp())
    with pytest.raises(Diverged) as caught:
        fit(task, Path(folder), write_atomically, [], logger=False)
    return str(caught.value)


def test_what_one_process_meets_stops_all():
    assert pair(sick_share) == ["the objective became nan at update 0"] * 2
