import numpy as np
import pytest

from gensweep.geometry.batch_norm import statistics
from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.measures.surface import Surface
from gensweep.rng import Stream
from gensweep.rows import checked


@pytest.mark.parametrize("mode", ["fixed", "reestimated", "batch"])
def test_every_point_of_the_grid_by_hand(images, mode):
    solution, data = images
    rng, risk = Stream(5), Risk(solution, data.train, data)
    d1, d2 = (li_direction(solution.layout, solution.theta_P, rng.child("direction", i)) for i in (0, 1))
    rows = checked("surface", Surface(points=4, span=0.6, batch_norm=mode)(solution, data, rng))
    assert len(rows) == 32
    for row in rows:
        theta_P = solution.theta_P + row.x * d1 + row.y * d2
        loss, accuracy = risk.loss_and_accuracy(theta_P, statistics(mode, risk)(theta_P))
        assert row.value == {"loss": loss, "accuracy": accuracy}[row.quantity]
    assert sorted({r.y for r in rows}) == np.linspace(-0.6, 0.6, 4).tolist()


def test_a_net_without_batch_norm_gives_the_same_rows_in_every_mode(solution, data):
    modes = ("fixed", "reestimated", "batch")
    rows = [list(Surface(3, batch_norm=mode)(solution, data, Stream(5))) for mode in modes]
    assert rows[0] == rows[1] == rows[2]


def test_the_centre_is_the_solution(solution, data):
    rows = Surface(points=3)(solution, data, Stream(5))
    centre = next(r for r in rows if r.x == r.y == 0)
    assert centre.value == pytest.approx(Risk(solution, data.train, data)(solution.theta_P), rel=1e-14)


def test_rescaling_layers_of_a_relu_net_leaves_the_surface(solution, data):
    before = [r.value for r in Surface(points=3)(solution, data, Stream(3))]
    parts = solution.layout.unpack(solution.theta_P)
    parts["layers.1.weight"] *= 4
    parts["layers.1.bias"] *= 4
    parts["layers.3.weight"] /= 4
    after = [r.value for r in Surface(points=3)(solution, data, Stream(3))]
    assert after == pytest.approx(before, rel=1e-9)
