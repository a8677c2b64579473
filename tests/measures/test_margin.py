import numpy as np
import pytest

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
