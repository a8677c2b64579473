import numpy as np

from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.measures.surface import Surface
from gensweep.rng import Stream
from gensweep.rows import checked


def test_every_point_of_the_grid_by_hand(solution, data):
    rng, risk = Stream(5), Risk(solution, data.train, data)
    d1, d2 = (li_direction(solution.layout, solution.theta_P, rng.child("direction", i)) for i in (0, 1))
    rows = checked("surface", Surface(points=4, span=0.6)(solution, data, rng))
    assert len(rows) == 16
    for row in rows:
        assert row.value == risk(solution.theta_P + row.x * d1 + row.y * d2)
    assert sorted({r.y for r in rows}) == np.linspace(-0.6, 0.6, 4).tolist()


def test_the_centre_is_the_solution(solution, data):
    rows = Surface(points=3)(solution, data, Stream(5))
    centre = next(r for r in rows if r.x == r.y == 0)
    assert centre.value == Risk(solution, data.train, data)(solution.theta_P)
