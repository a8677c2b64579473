from dataclasses import replace

import numpy as np
import pytest

from gensweep.data.base import Split
from gensweep.geometry.margin import margins
from gensweep.geometry.risk import Risk
from gensweep.measures.margin import Margin
from gensweep.rng import Stream
from gensweep.rows import checked


def test_quantiles_are_those_of_the_training_margins(solution, data):
    risk = Risk(solution, data.train, data)
    found = np.sort(margins(risk.logits(solution.theta_P), risk.y))
    rows = checked("margin", Margin([0.0, 0.25, 1.0])(solution, data, Stream(0)))
    assert rows[0].quantity == "margin_p05"
    assert rows[0].value == found[2]  # ⌈0.05 · 40⌉ = 2 values below
    assert [r.value for r in rows[1:]] == [found[0], found[10], found[39]]
    assert rows[0].stderr > 0
    assert rows[2].stderr > 0
    assert np.isnan([rows[1].stderr, rows[3].stderr]).all()  # nothing drawn from these lies beyond them


def test_scaling_the_logits_scales_the_margins(solution, data):
    parts = solution.layout.unpack(solution.theta_P)
    before = next(iter(Margin()(solution, data, Stream(0)))).value
    names = list(parts)[-2:]
    for name in names:
        parts[name] *= 3
    assert next(iter(Margin()(solution, data, Stream(0)))).value == pytest.approx(3 * before)


def test_the_union_with_a_confusion_set_has_a_margin_of_its_own(solution, data):
    assert "clean" not in {row.split for row in Margin()(solution, data, Stream(0))}
    noisy = replace(data, confusion=Split(data.test.x, (data.test.y + 1) % 3, data.test.index))
    rows = {r.split: r for r in Margin()(solution, noisy, Stream(0)) if r.quantity == "margin_p05"}
    parts = [Risk(solution, split, noisy) for split in (noisy.train, noisy.confusion)]
    found = np.concatenate([margins(risk.logits(solution.theta_P), risk.y) for risk in parts])
    assert rows["clean"].value == np.sort(found)[4]  # ⌈0.05 · 70⌉ values below
    assert rows["clean"].value < rows["train"].value
