import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gensweep.geometry.risk import Risk
from gensweep.measures.error import Error, clean_loss, target_reached
from gensweep.rng import Stream
from gensweep.rows import Row, checked


def rows_of(solution, data):
    rows = checked("error", Error()(solution, data, Stream(0)))
    return {(r.quantity, r.split): r for r in rows}


def test_numbers_by_hand(solution, data):
    found = rows_of(solution, data)
    model = solution.model
    model.load_state_dict(solution.layout.unpack(solution.theta_P))
    for name in ("train", "test"):
        part = data.splits()[name]
        with torch.no_grad():
            logits = model(torch.from_numpy(part.x).double())
        y = torch.from_numpy(part.y)
        losses = F.cross_entropy(logits, y, reduction="none")
        right = (logits.argmax(1) == y).double().mean().item()
        assert found["loss", name].value == pytest.approx(losses.mean().item(), rel=1e-12)
        assert found["loss", name].stderr == pytest.approx(
            losses.std(correction=0).item() / math.sqrt(len(part))
        )
        assert found["accuracy", name].value == right
        assert found["error", name].value == 1 - right
        share = (round(right * len(part)) + 0.5) / (len(part) + 1)
        assert found["error", name].stderr == pytest.approx(math.sqrt(share * (1 - share) / len(part)))


def test_all_right_is_no_proof_of_more(solution, data):
    """40 of 40: the error is 0, and a 1 in 80 chance of one would not be surprising."""
    logits = Risk(solution, data.train, data).logits(solution.theta_P)
    row = rows_of(solution, replace(data, train=replace(data.train, y=logits.argmax(1).numpy())))
    assert row["error", "train"].value == 0
    assert row["error", "train"].stderr == pytest.approx(math.sqrt(0.5 * 40.5 / 41**2 / 40))


def test_gaps_are_test_minus_train(solution, data):
    found = rows_of(solution, data)
    for gap, quantity in (("gap_loss", "loss"), ("gap_error", "error")):
        expected = found[quantity, "test"].value - found[quantity, "train"].value
        assert found[gap, ""].value == pytest.approx(expected)


def test_an_empty_split_is_said_to_be_empty(solution, data):
    row = rows_of(solution, data)["accuracy", "confusion"]
    assert row.status == "not_applicable"
    assert "no confusion set" in row.reason


def test_the_clean_loss_is_over_train_and_confusion_set(data):
    rows = {"train": [Row("loss", 0.2)], "confusion": [Row("loss", math.nan)]}
    assert clean_loss(rows, data) == 0.2
    more = replace(data, confusion=replace(data.test))  # 30 examples beside 40
    rows["confusion"] = [Row("loss", 0.9)]
    assert clean_loss(rows, more) == pytest.approx((40 * 0.2 + 30 * 0.9) / 70)


@pytest.mark.parametrize(("loss", "target", "expected"), [(0.1, 0.2, 1.0), (0.2, 0.2, 1.0), (0.3, 0.2, 0.0)])
def test_target_reached(loss, target, expected):
    assert target_reached(loss, target).value == expected


def test_without_a_target_there_is_none_to_reach():
    assert target_reached(0.1, None).status == "not_applicable"
