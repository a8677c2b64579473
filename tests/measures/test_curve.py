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
    whole = state(solution.model)
    moved = [k for k, v in whole.items() if v.is_floating_point() and "var" not in k]
    states = [{**whole, **{k: scale * whole[k] for k in moved}} for scale in (3.0, -2.0, 1.0)]
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
    """Of 30 labels the network of epoch 2 is right in at least 20, the last one in at least 10."""
    solution, data = walked
    before = state(solution.model)
    end = Risk(solution, data.test, data).logits(solution.theta_P).argmax(1).numpy()
    put(solution.model, solution.passed[2])
    theta_P = solution.layout.pack(solution.passed[2])
    middle = Risk(replace(solution, theta_P=theta_P), data.test, data).logits(theta_P).argmax(1).numpy()
    put(solution.model, before)
    labels = np.where(np.arange(30) < 10, end, middle)
    data = replace(data, test=replace(data.test, y=labels))
    _, rows = found(solution, data)
    (gain,) = (r for r in rows if r.quantity == "early_stopping_gain")
    right = [(said == labels).mean() for said in (middle, end)]
    assert right[0] > right[1] > 0
    assert (gain.split, gain.value) == ("test", pytest.approx(right[0] - right[1]))
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
