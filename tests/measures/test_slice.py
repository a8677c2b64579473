import pytest
import torch

from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.measures.slice import Slice
from gensweep.measures.surface import Surface
from gensweep.rng import Stream
from gensweep.rows import checked


def test_points_are_losses_along_the_direction(solution, data):
    rng, risk = Stream(3), Risk(solution, data.train, data)
    rows = checked("slice", Slice(points=5, span=0.5)(solution, data, rng))
    d = li_direction(solution.layout, solution.theta_P, rng.child("direction", 0))
    found = {(r.quantity, r.x): r.value for r in rows}
    for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
        loss, accuracy = risk.loss_and_accuracy(solution.theta_P + x * d)
        assert found["loss", x] == loss
        assert found["accuracy", x] == accuracy
    assert found["loss", 0.0] == risk(solution.theta_P)


def test_rescaling_layers_of_a_relu_net_leaves_the_curve(solution, data):
    before = [r.value for r in Slice(points=7)(solution, data, Stream(3))]
    parts = solution.layout.unpack(solution.theta_P)
    parts["layers.1.weight"] *= 4
    parts["layers.1.bias"] *= 4
    parts["layers.3.weight"] /= 4
    after = [r.value for r in Slice(points=7)(solution, data, Stream(3))]
    assert after == pytest.approx(before, rel=1e-9)


def test_surface_holds_the_slice_on_its_axis(solution, data):
    surface = checked("surface", Surface(points=3, span=0.5)(solution, data, Stream(3)))
    line = checked("slice", Slice(points=3, span=0.5)(solution, data, Stream(3)))
    on_axis = {r.x: r.value for r in surface if r.y == 0}
    assert on_axis == {r.x: r.value for r in line if r.quantity == "loss"}
    assert len(surface) == 9


def test_an_infinite_loss_is_flagged(solution, data):
    solution.theta_P[0] = torch.inf
    rows = checked("slice", Slice(points=3)(solution, data, Stream(3)))
    assert {r.status for r in rows if r.quantity == "loss"} == {"nonfinite"}
