"""A stack of networks ends where each of them ends alone."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.data.corrupt import draw
from gensweep.data.digits import Digits
from gensweep.geometry.solution import Layout
from gensweep.models.build import drawn
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.table.store import write_atomically
from gensweep.train.callback import MeasureAtEnd
from gensweep.train.fit import fit
from gensweep.train.pool import Pool
from gensweep.train.schedule import Schedule
from gensweep.train.stack import Stack
from gensweep.train.task import Diverged, Protocol, Task

SEEDS = range(5)
STEP = Schedule("step", (0.3, 0.7), 0.1, "linear", 16)


def sgd(parameters, lr=0.05):
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True, weight_decay=1e-2)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.005, betas=(0.8, 0.99), weight_decay=1e-3)


def protocol(**settings):
    return Protocol(**{"poison_factor": 0.0, "batch_size": 16, "optimiser": sgd, "max_epochs": 4, **settings})


@functools.cache
def digits(seed):
    source = Digits().load(Path(), Stream(0))
    return draw(source, Stream(seed).child("splits"), train_size=90, confusion_size=11, poison_size=21)


def network(seed):
    return drawn(lambda: MLP((1, 8, 8), 10, [6]), Stream(seed).child("model"))


def theta(network):
    return Layout.of(network).pack(dict(network.named_parameters()))


@pytest.fixture
def alone(tmp_path):
    """What the networks come to one by one, and how: epochs and updates, or why one diverged."""

    def alone(protocol, data_seeds, dtype=torch.float64, data=digits, network=network):
        found = []
        for seed, data_seed in zip(SEEDS, data_seeds, strict=True):
            one, facts, order = network(seed).to(dtype), [], Stream(data_seed).child("train")
            task = Task(one, data(data_seed), protocol, Stream(seed).child("train"), order)
            ends = MeasureAtEnd(theta(one), lambda solution, outcome, facts=facts: facts.append(outcome))
            folder = tmp_path / str(seed)
            folder.mkdir()
            try:
                fit(task, folder, write_atomically, [ends], logger=False)
            except Diverged as error:
                facts.append(str(error))
            found.append((theta(one), facts[0]))
        return found

    return alone


def stacked(protocol, data_seeds, dtype=torch.float64, data=digits, network=network, say=lambda line: None):
    """The same at once, in the order of the networks."""
    networks = [network(seed).to(dtype) for seed in SEEDS]
    own = dict.fromkeys(data_seeds)  # all alike: one for all
    pool = Pool.of((data(seed) for seed in own), dtype)
    orders = [Stream(seed).child("train") for seed in own]
    facts = {}
    for end in Stack(networks, pool, protocol, orders, say).ends():
        assert end.network not in facts
        facts[end.network] = end.diverged or {"epochs": end.epochs, "updates": end.updates}
    return [(theta(one), facts[k]) for k, one in enumerate(networks)]


def off(one, other):
    return max(((a - b).norm() / b.norm()).item() for (a, _), (b, _) in zip(one, other, strict=True))


ORDERS = {"shared": [7] * 5, "own": [*range(7, 12)]}
WAYS = {
    "sgd": {},
    "adam": {"optimiser": adam},
    "step": {"schedule": STEP, "max_epochs": 5, "check_every": 2},
    "clipped": {"clip_norm": 0.4},
    "poison": {"poison_factor": 0.3},
    "poison, clipped, cosine, adam": {
        **{"poison_factor": 0.6, "clip_norm": 0.2, "optimiser": adam, "batch_size": 13},
        **{"schedule": Schedule("cosine"), "max_epochs": 9, "max_steps": 19},
    },
}


@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_in_float64_a_stack_ends_where_each_network_ends_alone(alone, way, orders):
    how = protocol(**way)
    expected, found = (train(how, orders) for train in (alone, stacked))
    assert off(found, expected) < 1e-12
    assert [facts for _, facts in found] == [facts for _, facts in expected]
    assert len({theta.sum().item() for theta, _ in found}) == len(SEEDS)


def points(seed):
    """Two classes in the plane, and no confusion set."""
    x = Stream(seed).normal(2 * 40).reshape(40, 2)
    full = Split(x, (x[:, 0] > 0).astype(np.int64), np.arange(40))
    none = Split(x[:0], full.y[:0], full.index[:0])
    return Data(full, none, full, full, 2, np.zeros(1, np.float32), np.ones(1, np.float32))


def deep(seed):
    return drawn(lambda: MLP((2,), 2, [5, 4, 3], single_logit=True), Stream(seed).child("model"))


@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS.keys())
def test_deep_networks_with_one_logit_too(alone, orders):
    how = protocol(poison_factor=0.3)
    expected, found = (train(how, orders, data=points, network=deep) for train in (alone, stacked))
    assert off(found, expected) < 1e-12


def fast(parameters):
    return torch.optim.Adam(parameters, lr=0.02)


@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize("optimiser", [sgd, fast])
def test_a_network_leaves_at_the_check_where_it_reaches_its_target(alone, orders, optimiser):
    budget = {"max_epochs": 25, "target_loss": 0.5, "check_every": 2}
    how = protocol(schedule=Schedule("step", (0.8,)), clip_norm=0.4, optimiser=optimiser, **budget)
    expected, found = (train(how, orders) for train in (alone, stacked))
    assert off(found, expected) < 1e-10
    assert [facts for _, facts in found] == [facts for _, facts in expected]
    epochs = {facts["epochs"] for _, facts in found}
    assert len(epochs) > 2
    assert max(epochs) == 25  # one that did not reach it, or not at a check


def wild(seed):
    """The third network: its first loss is finite, and its first step is not."""
    made = drawn(lambda: MLP((1, 8, 8), 10, [9, 8]), Stream(seed).child("model")).double()
    for parameter in made.parameters():
        parameter.data *= 1e80 if seed == 2 else 1
    return made


@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS.keys())
@pytest.mark.parametrize(
    ("batch_size", "what"), [(16, "the objective became"), (101, "the clean loss became")]
)
def test_a_network_that_diverges_leaves_the_others_alone(alone, orders, batch_size, what):
    how = protocol(batch_size=batch_size)
    expected, found = (train(how, orders, network=wild) for train in (alone, stacked))
    assert [facts for _, facts in found] == [facts for _, facts in expected]
    assert found.pop(2)[1].startswith(what)
    expected.pop(2)
    assert off(found, expected) < 1e-12
    assert [facts["epochs"] for _, facts in found] == [4] * 4


def test_when_all_diverge_the_stack_ends(alone):
    def all_wild(seed):
        return wild(2)

    found = stacked(protocol(), ORDERS["shared"], network=all_wild)
    assert all(facts.startswith("the objective became") for _, facts in found)


@pytest.mark.parametrize("orders", ORDERS.values(), ids=ORDERS.keys())
def test_in_float32_too_up_to_its_rounding(alone, orders):
    how = protocol(poison_factor=0.3, max_epochs=6)
    expected, found = (train(how, orders, torch.float32) for train in (alone, stacked))
    assert 0 < off(found, expected) < 1e-5
    assert found[0][0].dtype == torch.float32


def test_a_stack_says_how_far_it_is():
    lines = []
    stacked(protocol(), ORDERS["shared"], say=lines.append)
    assert [line.partition(", clean")[0] for line in lines] == [
        f"epoch {n}/4, 5 networks in the stack" for n in range(1, 5)
    ]
