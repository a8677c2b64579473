from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from gensweep.geometry import rays
from gensweep.geometry.ellipsoid import ellipsoid
from gensweep.geometry.metric import Metric
from gensweep.geometry.radius import Crossings
from gensweep.geometry.solution import Solution
from gensweep.geometry.volume import log10_ball
from gensweep.known import Bowl, with_spectrum
from gensweep.measures import basin
from gensweep.measures.basin import Basin, radii
from gensweep.rng import Stream
from gensweep.rows import checked

LN10 = np.log(10)


def walk(loss, scale=None, **settings):
    scale = torch.ones_like(loss.centre) if scale is None else scale
    settings = {
        "cutoffs": [0.5],
        "directions": 30,
        "max_radius": 100.0,
        "scan_points": 41,
        "replicates": 0,
        "rank": 0,
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
    monkeypatch.setattr(rays, "BLOCK", 60)
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


def preconditioned(loss, scale=None, **settings):
    """The preconditioned volume's row at the cutoff 0.5."""
    settings = {"directions": 5, "rank": 6, "max_radius": 1e3, **settings}
    return walk(loss, scale, **settings)["log10_volume_preconditioned", 0.5, -1]


def outliers(n, count=6):
    return np.concatenate([np.geomspace(2, 500, count), [0.7] * (n - count)])


@pytest.mark.parametrize("n", [6, 22, 23, 300])
@pytest.mark.parametrize("seed", [0, 1])
def test_preconditioned_volume_of_outliers_over_a_flat_bulk_is_exact_however_it_is_turned(n, seed):
    """Six outliers, six directions, five rays: written out up to 22 dimensions, Lanczos from 23."""
    h = outliers(n)
    row = preconditioned(with_spectrum(h, seed))
    assert abs(row.value + 0.5 * np.log10(h / (2 * 0.5)).sum()) < 0.01 / LN10 + 1e-6
    assert row.stderr < 0.005
    assert row.status == "low_ess"  # five rays are never twenty
    assert preconditioned(with_spectrum(h, seed), directions=30).status == "ok"


def test_change_of_units_moves_the_preconditioned_volume_by_its_logdet():
    h = outliers(150)
    scale = torch.from_numpy(np.geomspace(0.3, 20, 150)[::-1].copy())
    euclidean = preconditioned(Bowl(h), rank=150).value
    in_units = preconditioned(Bowl(h), scale, rank=150).value
    assert in_units + Metric(scale).logdet / LN10 == pytest.approx(euclidean, abs=0.01)


def test_frozen_parameters_take_no_part_in_the_preconditioned_volume():
    scale = torch.tensor([2.0, 0.0, 1.0], dtype=torch.float64)
    row = preconditioned(Bowl([1.0, 7.0, 5.0]), scale)
    assert row.value == pytest.approx(-0.5 * np.log10(4 * 5), abs=0.005)


def test_a_round_basin_has_one_volume_by_either_rays():
    """P is a multiple of the identity, and the rays are the same."""
    settings = {"rank": 4, "cutoffs": [0.1, 0.5]}
    found = walk(Bowl([3.0] * 80), **settings)
    for cutoff in (0.1, 0.5):
        plain, leaning = (found[f"log10_volume{s}", cutoff, -1] for s in ("", "_preconditioned"))
        assert leaning.value == pytest.approx(plain.value, abs=0.01)
        assert found["ess_preconditioned", cutoff, -1].value == pytest.approx(found["ess", cutoff, -1].value)


def test_the_preconditioned_volume_is_unbiased_for_a_wrong_shape():
    """One direction of four: the error bar over many rays covers what P misses."""
    h = [1.0, 4.0, 20.0, 90.0]
    row = preconditioned(Bowl(h), rank=1, directions=800)
    assert row.status == "ok"
    assert abs(row.value + 0.5 * np.log10(h).sum()) < 3 * row.stderr < 0.2


def test_flat_directions_censor_the_preconditioned_volume():
    """What is left is the strip |x| ≤ 1 within max_radius, over the unit circle."""
    row = preconditioned(Bowl([1.0, 0.0]), directions=200, max_radius=10.0)
    assert (row.status, "lower bound" in row.reason) == ("censored", True)
    strip = 2 * (np.sqrt(99) + 100 * np.arcsin(0.1)) / np.pi
    assert abs(row.value - np.log10(strip)) < 3 * row.stderr < 0.05


def test_no_rank_no_preconditioned_volume_and_every_loss_is_counted():
    assert not [q for q, _, _ in walk(Bowl([1.0, 1.0])) if "preconditioned" in q]
    bowl = Bowl([40.0] * 5)
    found = walk(bowl, rank=2, directions=3)
    assert bowl.calls == 1 + sum(r.value for (q, _, _), r in found.items() if q.endswith("evaluations"))


def test_a_hessian_that_is_not_finite_leaves_the_rays_alone():
    class Broken(Bowl):
        def hvp(self, theta_P):
            return lambda v_P: v_P * torch.nan

    found = walk(Broken([1.0, 1.0]), rank=1)
    assert found["log10_volume_preconditioned", 0.5, -1].status == "nonfinite"
    assert found["log10_volume", 0.5, -1].status == "ok"


def test_the_radius_says_how_far_its_bracket_closed():
    found = walk(Bowl([3.0] * 50), cutoffs=[0.1, 0.5])
    for cutoff in (0.1, 0.5):
        for k in range(30):
            row = found["radius", cutoff, k]
            assert 0 < row.stderr <= 0.5 * 0.01 / 50 * row.value
            assert abs(np.sqrt(2 * cutoff / 3.0) - row.value - row.stderr) <= 1.01 * row.stderr


def test_a_loss_of_few_digits_is_not_converged_and_the_volume_says_how_much_that_is():
    """Rounded to 1e-4 nats, a loss of 0.5 that rises as r² settles r to about 1e-4 of it, not to 1e-6."""

    class Coarse(Bowl):
        def __call__(self, theta_P):
            return round(super().__call__(theta_P), 4)

    found = walk(Coarse([3.0] * 50))
    for k in range(30):
        row = found["radius", 0.5, k]
        assert (row.status, "settles" in row.reason) == ("not_converged", True)
        assert 0.2e-4 < row.stderr / row.value < 2e-4
    for quantity in ("log10_volume", "log10_volume_jensen"):
        row = found[quantity, 0.5, -1]
        assert (row.status, "30 of 30" in row.reason) == ("not_converged", True)
        assert abs(row.value - 25 * np.log10(1 / 3.0)) < 2 * row.stderr < 0.01
        assert row.stderr > 50 * 0.2e-4 / LN10


def test_a_censored_radius_has_no_error_and_a_reason():
    row = walk(Bowl([0.0, 0.0]))["radius", 0.5, 0]
    assert np.isnan(row.stderr)
    assert "lower bound" in row.reason


def test_no_basin_lists_what_was_asked_for():
    few = walk(Bowl([2.0], base=0.3), cutoffs=[0.2], relative=False)
    assert {q for q, _, _ in few} == {"log10_volume", "log10_volume_jensen", "log10_volume_trace"}
    more = walk(Bowl([2.0], base=0.3), cutoffs=[0.2], relative=False, rank=1, replicates=1)
    assert {q for q, _, _ in more} - {q for q, _, _ in few} == {
        "log10_volume_preconditioned",
        "log10_local_volume",
    }


def rescaled(solution, first, second):
    """The solution with its first weights times ``first``, its last times ``second``, and biases to match."""
    parts = {name: part.clone() for name, part in solution.layout.unpack(solution.theta_P).items()}
    names = list(parts)
    parts[names[0]] *= first
    parts[names[1]] *= first.flatten() if isinstance(first, torch.Tensor) else first
    parts[names[2]] *= second
    return Solution(solution.model, solution.layout.pack(parts), solution.init_P)


def radii_of(solution, data, metric, **settings):
    measure = Basin(**{"cutoffs": [0.2], "directions": 4, "replicates": 0, "metric": metric, **settings})
    rows = checked("basin", measure(solution, data, Stream(0)))
    volumes = ("log10_volume_preconditioned", "log10_volume_trace")
    return np.array([r.value for r in rows if r.quantity == "radius" or r.quantity in volumes])


@pytest.mark.parametrize(
    ("metric", "layers", "neurons"),
    [("filter", True, False), ("layer", True, False), ("euclidean", False, False)],
)
def test_what_rescaling_a_relu_net_leaves_alone(solution, data, metric, layers, neurons):
    """Layer 1 times 5 and layer 2 over 5; then each hidden neuron by a factor of its own."""
    plain = radii_of(solution, data, metric)
    by_layer = radii_of(rescaled(solution, 5.0, 0.2), data, metric)
    a = torch.tensor([1.0, 2.0, 5.0, 0.3, 1.0, 4.0], dtype=torch.float64)
    by_neuron = radii_of(rescaled(solution, a[:, None], 1 / a), data, metric)
    assert (np.abs(by_layer / plain - 1).max() < 1e-4) == layers
    assert (np.abs(by_neuron / plain - 1).max() < 1e-4) == neurons


def test_the_logit_normalised_basin_does_not_see_the_size_of_the_outputs(solution, data):
    def scaled(factor):
        parts = {n: p.clone() for n, p in solution.layout.unpack(solution.theta_P).items()}
        for name in list(parts)[-2:]:
            parts[name] *= factor
        return Solution(solution.model, solution.layout.pack(parts), solution.init_P)

    for logit_normalised, same in ((True, True), (False, False)):
        settings = {"cutoffs": [0.1, 0.3], "logit_normalised": logit_normalised}
        one, ten = (radii_of(scaled(f), data, "filter", **settings) for f in (1.0, 10.0))
        assert (np.abs(ten / one - 1).max() < 1e-4) == same


def test_two_logits_have_no_normalised_basin(solution, data):
    two = replace(data, num_classes=2)
    rows = checked("basin", Basin(logit_normalised=True)(solution, two, Stream(0)))
    assert {r.status for r in rows} == {"not_applicable"}
    assert len(rows) == 4 * 5


def test_the_table_of_biases_through_the_whole_walk():
    """Row "100, nn" of it: plain −11.1 ± 2.2 orders, ten directions −1.6 ± 0.6, both said to be thin."""
    h = 1000 * np.arange(1, 101) ** -1.5 + 0.5
    found = walk(Bowl(h), rank=10, directions=100, scan_points=13)
    truth = -0.5 * np.log10(h).sum()
    for quantity, told, sd in (("log10_volume", -11.1, 2.2), ("log10_volume_preconditioned", -1.6, 0.6)):
        row = found[quantity, 0.5, -1]
        assert abs(row.value - truth - told) < 3 * sd
        assert row.status == "low_ess"
    assert found["ess_preconditioned", 0.5, -1].value < 20


def test_the_error_of_a_radius_is_half_its_width():
    status = np.array([["ok"], ["not_converged"]], dtype=object)
    width = np.array([[0.2], [0.4]])
    found = Crossings(np.array([[2.0], [1.0]]), width, np.ones((2, 1)), status, np.zeros((2, 3)), 6)
    tight, loose = radii(found, 0, 0.5)
    assert (tight.value, tight.stderr, tight.reason) == (2.0, 0.1, "")
    assert (loose.value, loose.stderr, loose.reason) == (1.0, 0.2, "the loss settles the radius to 0.4 of it")


def test_no_direction_is_taken_for_longer_than_a_ray(monkeypatch):
    floors = []

    def noted(hessian, rank, floor, rng):
        floors.append(floor)
        return ellipsoid(hessian, rank, floor, rng)

    monkeypatch.setattr(basin, "ellipsoid", noted)
    walk(Bowl([1.0, 2.0], base=0.3), cutoffs=[0.4, 0.8], relative=False, rank=1, max_radius=20.0)
    assert floors == [pytest.approx(2 * 0.5 / 20.0**2)]  # (2·height/floor)^½ is 20 at the highest
