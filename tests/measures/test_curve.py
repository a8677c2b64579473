from dataclasses import replace

import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.geometry.risk import Risk
from gensweep.measures.curve import Curve
from gensweep.rng import Stream
from gensweep.rows import checked
from gensweep.solutions import put, state


def found(solution, data):
    rows = checked("curve", Curve()(solution, data, Stream(0)))
    return {(r.quantity, r.split, r.x): r.value for r in rows if r.status == "ok"}, rows


@pytest.fixture
def walked(images):
    """A net with batch norm, three states that it passed, and its data; the last state is the solution's."""
    solution, data = images
    states = []
    for scale in (3.0, 0.3, 1.0):  # of the statistics and of the weights
        states.append(
            {k: v * scale if v.is_floating_point() else v for k, v in state(solution.model).items()}
        )
    passed = dict(zip((0, 2, 5), states, strict=True))
    return replace(solution, passed=passed), data


def test_every_epoch_has_the_loss_of_the_network_that_was_there(walked):
    """Known answer: the network itself, with weights and statistics of that epoch put into it."""
    solution, data = walked
    values, _ = found(solution, data)
    assert {x for _, _, x in values if x == x} == {0, 2, 5}
    whole = state(solution.model)
    for epoch, there in solution.passed.items():
        put(solution.model, there)
        here = replace(solution, theta_P=solution.layout.pack(there))
        for split in ("train", "test"):
            loss, accuracy = Risk(here, data.splits()[split], data).loss_and_accuracy(here.theta_P)
            assert values["loss", split, epoch] == pytest.approx(loss, rel=1e-12)
            assert values["accuracy", split, epoch] == accuracy
    put(solution.model, whole)
    losses = [values["loss", "train", epoch] for epoch in (0, 2, 5)]
    assert len({round(loss, 6) for loss in losses}) == 3


def test_the_gain_is_the_best_test_accuracy_over_that_of_the_end(walked):
    solution, data = walked
    values, rows = found(solution, data)
    end = Risk(solution, data.test, data).loss_and_accuracy(solution.theta_P)[1]
    best = max(end, *(values["accuracy", "test", epoch] for epoch in (0, 2, 5)))
    (gain,) = (r for r in rows if r.quantity == "early_stopping_gain")
    assert (gain.split, gain.value) == ("test", pytest.approx(best - end))
    _, rows = found(replace(solution, passed={5: solution.passed[5]}), data)
    assert next(r.value for r in rows if r.quantity == "early_stopping_gain") == 0


def test_it_leaves_the_solution_as_it_was(walked):
    solution, data = walked
    before = state(solution.model)
    found(solution, data)
    assert all(torch.equal(v, before[k]) for k, v in state(solution.model).items())


def test_the_order_of_examples_does_not_matter(walked):
    solution, data = walked

    def turned(split: Split) -> Split:
        return Split(split.x[::-1].copy(), split.y[::-1].copy(), np.arange(len(split.y)))

    other = Data(*(turned(s) for s in data.splits().values()), data.num_classes, data.mean, data.std)
    first, second = found(solution, data)[0], found(solution, other)[0]
    assert second == pytest.approx(first, rel=1e-12, nan_ok=True)


def test_what_was_not_kept_is_a_sentence(solution, data):
    _, rows = found(solution, data)
    assert {r.status for r in rows} == {"not_applicable"}
    assert all("budget.keep" in r.reason for r in rows)
    assert len(rows) == 5
