import math
from dataclasses import replace

import pytest
import torch

from gensweep.geometry.risk import Risk
from gensweep.measures.norms import Norms, over_margin
from gensweep.rng import Stream
from gensweep.rows import checked


def rows_of(solution, data):
    return {(r.quantity, r.index): r for r in checked("norms", Norms()(solution, data, Stream(0)))}


def made_right(solution, data):
    """The same data, labelled as the network would have it: every margin is positive."""
    logits = Risk(solution, data.train, data).logits(solution.theta_P)
    return replace(data, train=replace(data.train, y=logits.argmax(1).numpy()))


def test_norms_by_hand(solution, data):
    found, parts = rows_of(solution, data), solution.layout.unpack(solution.theta_P)
    weights = [parts["layers.1.weight"], parts["layers.3.weight"]]
    assert found["l2_norm", -1].value == pytest.approx(solution.theta_P.norm().item())
    assert found["l2_distance", -1].value == pytest.approx(0.1 * math.sqrt(len(solution.theta_P)))
    for i, w in enumerate(weights):
        assert found["layer_frobenius", i].value == pytest.approx(w.square().sum().sqrt().item())
        assert found["layer_spectral", i].value == pytest.approx(torch.linalg.svdvals(w)[0].item())


def test_products_by_hand():
    row = over_margin("log10_l2", [2.0, 3.0], 0.5, 0.05)
    assert row.value == pytest.approx(math.log10(2**2 * 3**2 / 0.5**2))
    assert row.stderr == pytest.approx(2 * 0.05 / 0.5 / math.log(10))


def test_products_do_not_overflow():
    assert over_margin("log10_l2", [1e200] * 20, 1.0, 0.0).value == pytest.approx(8000)


def test_products_are_invariant_to_rescaling_between_layers(solution, data):
    data = made_right(solution, data)
    before = rows_of(solution, data)["log10_spectral", -1]
    parts = solution.layout.unpack(solution.theta_P)
    parts["layers.1.weight"] *= 8
    parts["layers.1.bias"] *= 8
    parts["layers.3.weight"] /= 8
    after = rows_of(solution, data)["log10_spectral", -1]
    assert before.status == "ok"
    assert after.value == pytest.approx(before.value)


@pytest.mark.parametrize("gamma", [0.0, -0.3])
def test_a_margin_that_is_not_positive_is_no_margin(gamma):
    row = over_margin("log10_l2", [2.0], gamma, 0.1)
    assert (row.status, math.isnan(row.value)) == ("not_applicable", True)
    assert "not positive" in row.reason
