import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from gensweep.geometry.batch_norm import Reestimated
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
        assert found["loss", x] == pytest.approx(loss, rel=1e-14)
        assert found["accuracy", x] == accuracy
    assert found["loss", 0.0] == pytest.approx(risk(solution.theta_P), rel=1e-14)


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
    on_axis = {(r.quantity, r.x): r.value for r in surface if r.y == 0}
    assert on_axis == {(r.quantity, r.x): r.value for r in line}
    assert len(surface) == 18


def test_an_infinite_loss_is_flagged(solution, data):
    solution.theta_P[0] = torch.inf
    rows = checked("slice", Slice(points=3)(solution, data, Stream(3)))
    assert {r.status for r in rows if r.quantity == "loss"} == {"nonfinite"}


MODES = ("fixed", "reestimated", "batch")


def test_a_net_without_batch_norm_gives_the_same_rows_in_every_mode(solution, data):
    rows = [checked("slice", Slice(5, batch_norm=mode)(solution, data, Stream(3))) for mode in MODES]
    assert rows[0] == rows[1] == rows[2]


def test_every_mode_by_hand_with_batch_norm(images):
    solution, data = images
    rng, risk = Stream(3), Risk(solution, data.train, data)
    d = li_direction(solution.layout, solution.theta_P, rng.child("direction", 0))
    for mode in MODES:
        rows = checked("slice", Slice(3, 0.5, batch_norm=mode)(solution, data, rng))
        found = {(r.quantity, r.x): r.value for r in rows}
        for x in (-0.5, 0.0, 0.5):
            theta_P = solution.theta_P + x * d
            by_hand = copy.deepcopy(solution.model)
            by_hand.load_state_dict(solution.layout.unpack(theta_P), strict=False)
            if mode == "batch":
                by_hand.train()
            if mode == "reestimated":
                by_hand.load_state_dict(Reestimated(risk)(theta_P), strict=False)
            with torch.no_grad():
                expected = F.cross_entropy(by_hand(risk.x), risk.y).item()
            assert found["loss", x] == pytest.approx(expected, rel=1e-12)


def test_stale_statistics_make_the_curve_look_sharper(images):
    """The centre is the same in all modes: the stored statistics are those of the training split there."""
    solution, data = images
    at = {}
    for mode in MODES:
        rows = Slice(3, batch_norm=mode)(solution, data, Stream(3))
        at[mode] = [r.value for r in rows if r.quantity == "loss"]
    assert at["reestimated"][1] == pytest.approx(at["fixed"][1], rel=1e-12)
    assert at["batch"] == pytest.approx(at["reestimated"], rel=1e-12)
    assert abs(at["fixed"][2] - at["reestimated"][2]) > 0.01


def test_the_scale_of_a_convolution_goes_out_of_the_whole_curve(images):
    """Its filters and the direction over them are both 4 times as long; ε makes the difference."""
    solution, data = images
    scaled_P = solution.theta_P.clone()
    solution.layout.unpack(scaled_P)["layers.0.weight"].mul_(4)
    for mode in MODES:
        before, after = (
            [r.value for r in Slice(5, batch_norm=mode)(s, data, Stream(3))]
            for s in (solution, replace(solution, theta_P=scaled_P))
        )
        assert (before == pytest.approx(after, rel=1e-3)) == (mode != "fixed")
