import numpy as np
import pytest
import torch
from scipy.stats import chi2

from gensweep.geometry.metric import Metric
from gensweep.geometry.volume import log10_ball
from gensweep.known import Bowl, with_spectrum
from gensweep.measures import basin
from gensweep.measures.basin import Basin
from gensweep.rng import Stream
from gensweep.rows import checked

LN10 = np.log(10)


def walk(loss, scale=None, **settings):
    scale = torch.ones(len(loss.h), dtype=torch.float64) if scale is None else scale
    settings = {
        "cutoffs": [0.5],
        "directions": 30,
        "max_radius": 100.0,
        "scan_points": 41,
        "replicates": 0,
        **settings,
    }
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


@pytest.mark.parametrize("dim", [3, 60, 2000])
def test_the_trace_foretells_a_round_bowl(dim):
    found = walk(Bowl([3.0] * dim, base=1.0), cutoffs=[0.1, 0.5])
    for cutoff in (0.1, 0.5):
        row = found["log10_volume_trace", cutoff, -1]
        assert abs(row.value - dim / 2 * np.log10(2 * cutoff / 3.0)) < 4 * row.stderr + 1e-9
        assert abs(row.value - found["log10_volume", cutoff, -1].value) < 4 * row.stderr + 2 * 0.01 / LN10
        assert row.stderr < 1e-3 * dim if dim > 60 else row.stderr == 0
        assert row.status == "ok"


def test_the_trace_is_taken_in_the_metrics_unit():
    scale = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    row = walk(Bowl([1.0, 7.0, 5.0]), scale)["log10_volume_trace", 0.5, -1]
    assert row.value == pytest.approx(np.log10(2 * 0.5 * 2 / (4 * 1 + 5)))


def test_the_traces_error_becomes_the_volumes():
    problem = with_spectrum(np.geomspace(1e-2, 1, 300))
    problem.centre, problem.h = torch.zeros(300, dtype=torch.float64), torch.ones(300)
    exact = 150 * np.log10(2 * 0.5 * 300 / np.geomspace(1e-2, 1, 300).sum())
    row = walk(problem, directions=2)["log10_volume_trace", 0.5, -1]
    assert abs(row.value - exact) < 3 * row.stderr
    assert 0.1 < row.stderr < 1.5  # 2 % of the trace is 1.3 orders in 300 dimensions


def test_no_volume_from_a_trace_that_is_not_positive_or_not_finite():
    row = walk(Bowl([0.0, 0.0]))["log10_volume_trace", 0.5, -1]
    assert (row.status, "not positive" in row.reason) == ("not_applicable", True)

    class Broken(Bowl):
        def hvp(self, theta_P):
            return lambda v_P: v_P * torch.nan

    row = walk(Broken([1.0, 1.0]))["log10_volume_trace", 0.5, -1]
    assert (row.status, "not finite" in row.reason) == ("nonfinite", True)


@pytest.mark.parametrize("curvature", [1.0, 40.0])
def test_local_volume_of_a_round_bowl(curvature):
    """A Gaussian of variance σ²/n per axis has |step|² n/σ² distributed as χ²(n): here 0.24 and 10⁻⁸."""
    found = walk(Bowl([curvature] * 10, base=0.7), sigma=0.9, replicates=3, cutoffs=[0.3, 0.6], directions=2)
    for cutoff in (0.3, 0.6):
        row = found["log10_local_volume", cutoff, -1]
        expected = chi2.logcdf(2 * cutoff * 10 / (curvature * 0.9**2), 10) / LN10
        assert row.status == "ok"
        assert abs(row.value - expected) < max(4 * row.stderr, 1e-3)
        assert row.stderr < 0.5


def test_local_and_trace_volume_count_from_the_solution_and_in_the_metrics_unit():
    scale = torch.tensor([1.0, 0.0, 3.0], dtype=torch.float64)
    bowl = Bowl([9.0, 1e9, 1.0], base=0.3)  # in the metric's unit: 9 and 9
    found = walk(bowl, scale, sigma=0.5, replicates=3, relative=False, cutoffs=[0.2, 0.8], directions=2)
    row = found["log10_local_volume", 0.8, -1]
    assert abs(row.value - chi2.logcdf(2 * 0.5 * 2 / (9 * 0.25), 2) / LN10) < 4 * row.stderr < 0.2
    assert found["log10_local_volume", 0.2, -1].status == "not_applicable"
    assert found["log10_volume_trace", 0.8, -1].value == pytest.approx(np.log10(2 * 0.5 / 9))
    assert found["log10_volume_trace", 0.2, -1].status == "not_applicable"


def test_every_loss_is_counted():
    bowl = Bowl([40.0] * 5)
    rows = list(
        Basin(cutoffs=[0.1], directions=3).walk(bowl, bowl.centre, Metric(torch.ones(5).double()), Stream(0))
    )
    spent = {r.quantity: r.value for r in rows if r.quantity.endswith("evaluations")}
    assert spent["local_evaluations"] > 1000
    assert bowl.calls == 1 + sum(spent.values())


def test_no_replicates_leave_the_local_volume_out():
    assert not [q for q, _, _ in walk(Bowl([1.0, 1.0])) if "local" in q]
