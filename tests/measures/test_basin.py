import numpy as np
import pytest
import torch
from known import Bowl

from gensweep.geometry.metric import Metric
from gensweep.geometry.volume import log10_ball
from gensweep.measures import basin
from gensweep.measures.basin import Basin
from gensweep.rng import Stream
from gensweep.rows import checked

LN10 = np.log(10)


def walk(loss, scale=None, **settings):
    scale = torch.ones(len(loss.h), dtype=torch.float64) if scale is None else scale
    settings = {"cutoffs": [0.5], "directions": 30, "max_radius": 100.0, "scan_points": 41, **settings}
    rows = checked("basin", Basin(**settings).walk(loss, loss.centre, Metric(scale), Stream(0)))
    return {(r.quantity, r.x, r.index): r for r in rows}


@pytest.mark.parametrize("dim", [1, 2, 50, 2000])
def test_round_bowl_is_a_ball(dim):
    found = walk(Bowl([3.0] * dim, base=1.0))
    expected = dim * np.log10(np.sqrt(2 * 0.5 / 3.0))
    for quantity in ("log10_volume", "log10_volume_jensen"):
        row = found[quantity, 0.5, -1]
        assert row.value == pytest.approx(expected, abs=2 * 0.01 / LN10)  # rtol 0.01/n of the radius
        assert row.status == "ok"
        assert row.stderr < 0.01
    assert found["ess", 0.5, -1].value == pytest.approx(30, rel=1e-3)


def test_stretched_bowl_lies_within_its_own_error_bar():
    bowl = Bowl([1.0, 20.0, 4.0])
    row = walk(bowl, directions=2000)["log10_volume", 0.5, -1]
    assert row.status == "ok"
    assert abs(row.value - np.log10(bowl.semi_axes(0.5)).sum()) < 3 * row.stderr < 0.2


def test_change_of_units_moves_the_volume_by_its_logdet():
    """In units of its own axes an ellipsoid is a ball: volume in z times the determinant is exact."""
    bowl = Bowl(np.geomspace(1, 1e4, 40))
    scale = torch.from_numpy(bowl.semi_axes(0.5))
    row = walk(bowl, scale)["log10_volume", 0.5, -1]
    euclidean = row.value + Metric(scale).logdet / LN10 + log10_ball(40)
    assert euclidean == pytest.approx(np.log10(bowl.semi_axes(0.5)).sum() + log10_ball(40), abs=0.01)


def test_flat_ray_is_censored_not_dropped():
    found = walk(Bowl([0.0, 0.0]))
    radii = [r for (q, _, _), r in found.items() if q == "radius"]
    assert len(radii) == 30
    assert all(r.status == "censored" and r.value == pytest.approx(100) for r in radii)
    row = found["log10_volume", 0.5, -1]
    assert row.status == "censored"
    assert "30 of 30" in row.reason
    assert found["censored_fraction", 0.5, -1].value == 1


def test_one_flat_direction_censors_the_volume_as_a_lower_bound():
    found = walk(Bowl([1.0, 0.0]), directions=400, max_radius=10.0)
    assert 0 < found["censored_fraction", 0.5, -1].value < 0.5
    assert found["log10_volume", 0.5, -1].status == "censored"


def test_few_rays_that_carry_the_volume_are_flagged():
    row = walk(Bowl(np.geomspace(1, 1e3, 300)))["log10_volume", 0.5, -1]
    assert row.status == "low_ess"
    assert "lower bound" in row.reason


def test_more_rays_leave_the_first_ones_alone():
    bowl = Bowl(np.geomspace(1, 100, 20))
    few, many = walk(bowl, directions=5), walk(bowl, directions=9)
    for k in range(5):
        assert few["radius", 0.5, k] == many["radius", 0.5, k]


def test_blocks_of_rays_change_nothing(monkeypatch):
    bowl = Bowl(np.geomspace(1, 100, 20))
    whole = walk(bowl)
    monkeypatch.setattr(basin, "BLOCK", 60)
    assert repr(walk(bowl)) == repr(whole)


def test_cutoffs_grow_outwards_and_share_the_rays():
    found = walk(Bowl([2.0, 2.0]), cutoffs=[0.1, 1.0, 0.4])
    for k in range(30):
        radii = [found["radius", c, k].value for c in (0.1, 0.4, 1.0)]
        assert radii == pytest.approx([np.sqrt(c) for c in (0.1, 0.4, 1.0)], rel=1e-5)


def test_absolute_cutoff_counts_from_zero():
    bowl = Bowl([2.0], base=0.3)
    found = walk(bowl, cutoffs=[0.2, 0.5], relative=False)
    assert found["radius", 0.5, 0].value == pytest.approx(np.sqrt(0.2), rel=1e-5)
    row = found["log10_volume", 0.2, -1]
    assert row.status == "not_applicable"
    assert "0.3" in row.reason


def test_crossing_was_evaluated_and_is_inside():
    seen = {}

    class Watched(Bowl):
        def __call__(self, theta):
            loss = super().__call__(theta)
            seen[tuple(theta.tolist())] = loss
            return loss

    watched = Watched([1.0, 30.0], base=0.7)
    found = walk(watched)
    metric = Metric(torch.ones(2, dtype=torch.float64))
    for k in range(30):
        point = found["radius", 0.5, k].value * metric.direction(Stream(0).child("ray", k))
        assert 1.2 * (1 - 0.01) < seen[tuple(point.tolist())] <= 1.2


def test_rollouts_start_at_the_solution_and_stop_above_the_highest_cutoff():
    found = walk(Bowl([2.0, 2.0], base=0.1), cutoffs=[0.1, 0.5])
    ray = sorted((x, r.value) for (q, x, k), r in found.items() if q == "rollout_loss" and k == 3)
    assert ray[0] == (0.0, 0.1)
    assert ray[-2][1] <= 0.6 < ray[-1][1]
    assert [loss for _, loss in ray] == pytest.approx([0.1 + x**2 for x, _ in ray])


def test_a_network_has_a_basin(solution, data):
    rows = checked("basin", Basin(cutoffs=[0.2], directions=4, metric="filter")(solution, data, Stream(0)))
    n = next(r.value for r in rows if r.quantity == "dimensions")
    assert n == 4 * 6 + 6 * 3  # the weights; biases stay
