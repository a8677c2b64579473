from dataclasses import replace

import numpy as np
import pytest
import torch

from gensweep.geometry.metric import li_direction
from gensweep.geometry.risk import Risk
from gensweep.known import Bowl
from gensweep.measures.hessian_ratio import HessianRatio
from gensweep.rng import Stream
from gensweep.rows import checked


class Quartic:
    """L(θ) = Σ θᵢ⁴/12 + cᵢ θᵢ²/2: its Hessian is diagonal, θᵢ² + cᵢ, and changes with the place."""

    def __init__(self, c):
        self.c = torch.tensor(c, dtype=torch.float64)
        self.spent = 0

    def curvature(self, theta):
        return theta**2 + self.c

    def hvp(self, theta):
        def product(v):
            self.spent += 1
            return self.curvature(theta) * v

        return product


def mapped(loss, theta, d1, d2, **settings):
    rows = checked("hessian_ratio", HessianRatio(**settings).map(loss, theta, d1, d2, Stream(0)))
    return {(r.x, r.y): r for r in rows if r.quantity == "ratio"}, rows


def test_every_point_of_a_plane_through_a_quartic():
    loss = Quartic([1.0, -0.5, 0.3, 0.2, -1.0])
    theta = torch.tensor([0.5, 0.1, -0.2, 1.0, 0.4], dtype=torch.float64)
    d1 = torch.tensor([1.0, 0, 0, 0, 2.0], dtype=torch.float64)
    d2 = torch.tensor([0, 1.5, 0, 0, 0.5], dtype=torch.float64)
    cells, rows = mapped(loss, theta, d1, d2, points=5, span=0.8)
    assert len(cells) == 25
    assert sorted({y for _, y in cells}) == np.linspace(-0.8, 0.8, 5).tolist()
    for (x, y), row in cells.items():
        h = loss.curvature(theta + x * d1 + y * d2)
        assert row.value == pytest.approx(abs(h.min() / h.max()).item(), rel=1e-9)
        assert row.status == "ok"
        assert 0 <= row.stderr < 1e-6
    assert rows[-1].value == loss.spent == 125


def test_ends_that_stand_out_are_right_and_crowded_ones_are_flagged():
    c = torch.cat([torch.linspace(-0.5, 0.5, 497), torch.tensor([8.0, 4.0, -2.0])]).tolist()
    cells, _ = mapped(
        Quartic(c), torch.zeros(500).double(), torch.zeros(500).double(), torch.zeros(500).double(), points=2
    )
    assert [r.value for r in cells.values()] == pytest.approx([0.25] * 4, rel=1e-6)
    crowd, _ = mapped(Quartic(np.linspace(-1, 1, 3000).tolist()), *[torch.zeros(3000).double()] * 3, points=2)
    assert all(r.status == "not_converged" and "allow an error" in r.reason for r in crowd.values())


def test_convex_bowls_have_their_inverse_condition_number():
    cells, _ = mapped(Bowl([4.0, 2.0, 1.0]), *[torch.zeros(3).double()] * 3, points=3)
    assert all(r.value == pytest.approx(0.25) for r in cells.values())


@pytest.mark.parametrize("curvature", [[-1.0, -2.0], [0.0, 0.0]])
def test_no_ratio_where_nothing_curves_upwards(curvature):
    cells, _ = mapped(Bowl(curvature), *[torch.zeros(2).double()] * 3, points=2)
    assert all(r.status == "not_applicable" and "not positive" in r.reason for r in cells.values())


def test_a_cell_that_is_not_finite_leaves_the_others_alone():
    class Cliff(Quartic):
        def curvature(self, theta):
            return super().curvature(theta) if theta[0] < 0.5 else theta * torch.nan

    d1, d2 = torch.eye(2, dtype=torch.float64)
    cells, _ = mapped(Cliff([1.0, 2.0]), torch.zeros(2).double(), d1, d2, points=3)
    assert {x for (x, _), r in cells.items() if r.status == "nonfinite"} == {1.0}
    assert all(r.status == "ok" for (x, _), r in cells.items() if x < 1)


def test_the_plane_is_that_of_the_surface(solution, data):
    rng, risk = Stream(5), Risk(solution, data.train, data)
    d1, d2 = (li_direction(solution.layout, solution.theta_P, rng.child("direction", i)) for i in (0, 1))
    rows = checked("hessian_ratio", HessianRatio(points=2, span=0.3)(solution, data, rng))
    for row in rows[:-1]:
        product = risk.hvp(solution.theta_P + row.x * d1 + row.y * d2)
        h = np.linalg.eigvalsh(torch.stack([product(e) for e in torch.eye(len(d1)).double()]).numpy())
        assert row.value == pytest.approx(abs(h[0] / h[-1]), rel=1e-6)


def test_batches_change_nothing(solution, data):
    d = li_direction(solution.layout, solution.theta_P, Stream(1))
    whole, parts = (
        mapped(Risk(solution, data.train, data, chunk), solution.theta_P, d, 0 * d, points=2)[0]
        for chunk in (40, 13)
    )
    for place, row in whole.items():
        assert parts[place].value == pytest.approx(row.value, rel=1e-6)


def test_as_many_products_as_were_asked_for():
    """Two steps see the two ends of a spectrum of two values, and no third."""
    _, rows = mapped(Quartic([1.0, -0.5, 0.3, 0.2, -1.0]), *[torch.zeros(5).double()] * 3, points=2, steps=2)
    assert rows[-1].value == 8
    cells, _ = mapped(Quartic([2.0, -0.5, 2.0, -0.5]), *[torch.zeros(4).double()] * 3, points=2, steps=2)
    assert [r.value for r in cells.values()] == pytest.approx([0.25] * 4)


def test_some_examples_are_a_data_set_of_their_own(solution, data):
    stream = Stream(5)
    which = stream.child("examples").permutation(len(data.train))[:5]
    few = replace(data, train=data.train.take(which))

    def ratios(data, **settings):
        rows = HessianRatio(points=2, **settings)(solution, data, stream)
        return [r.value for r in rows if r.quantity == "ratio"]

    assert ratios(data, examples=5) == pytest.approx(ratios(few), rel=1e-9)
    assert ratios(data, examples=5) != pytest.approx(ratios(data), rel=1e-2)
