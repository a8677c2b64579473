import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensweep.geometry import langevin
from gensweep.geometry.risk import Risk
from gensweep.known import Bowl, Regression
from gensweep.measures import llc
from gensweep.measures.llc import LLC, Rung, pooled
from gensweep.rng import Stream
from gensweep.rows import QUANTITIES, checked

N = 1000
HEAT = N / math.log(N)


def rows_of(loss, theta, seed=0, examples=N, **settings):
    rows = checked("llc", LLC(**settings).sample(loss, theta, examples, Stream(seed)))
    return {(r.quantity, r.index): r for r in rows}


def bowl_truth(h, gamma):
    """E[L] − L* = ½ Σ hᵢ/(nβ·hᵢ + γ)."""
    h = np.asarray(h)
    return 0.5 * (HEAT * h / (HEAT * h + gamma)).sum()


@pytest.mark.parametrize("gamma", [1.0, 300.0])
def test_a_bowl_has_half_its_dimensions_less_what_gamma_takes(gamma):
    h = np.linspace(1, 4, 10)
    loss = Bowl(h, 0.7)
    row = rows_of(loss, loss.centre, gamma=gamma, draws=1000)["llc", -1]
    truth = bowl_truth(h, gamma)
    assert truth == pytest.approx({1.0: 4.98, 300.0: 2.63}[gamma], abs=0.02)
    assert abs(row.value - truth) < 3 * row.stderr < 0.15 * truth
    assert row.status == "ok"


def test_linear_regression_by_its_eigenvalues():
    a = torch.from_numpy(Stream(1).child("a").normal(N * 6)).double().view(N, 6)
    b = a.sum(1) + torch.from_numpy(Stream(1).child("b").normal(N)).double()
    theta = torch.linalg.lstsq(a, b).solution
    h = torch.linalg.eigvalsh(2 * a.T @ a / N).numpy()
    row = rows_of(Regression(a, b), theta, gamma=10.0, draws=600)["llc", -1]
    assert abs(row.value - bowl_truth(h, 10.0)) < 3 * row.stderr < 0.6


def test_flat_directions_count_for_nothing():
    """Two of four directions are flat: λ = 2/2, not 4/2."""
    loss = Bowl([2.0, 0.0, 3.0, 0.0])
    row = rows_of(loss, loss.centre, gamma=20.0, draws=800)["llc", -1]
    assert abs(row.value - bowl_truth([2.0, 3.0], 20.0)) < 3 * row.stderr < 0.25
    assert row.value < 1.2


class Cross(Bowl):
    """L = x²y²/2, singular along both axes."""

    def __init__(self):
        super().__init__([0.0, 0.0])

    def __call__(self, theta_P):
        return self.grad(theta_P)[0]

    def grad(self, theta_P):
        x, y = theta_P
        return (x * x * y * y / 2).item(), torch.stack([x * y * y, x * x * y])


def test_a_singular_minimum_is_below_half_its_dimensions():
    """The truth at this N and γ by quadrature in the plane; a regular minimum would have 1."""
    gamma, grid = 5.0, np.linspace(-4, 4, 1601)
    x, y = np.meshgrid(grid, grid)
    loss = x**2 * y**2 / 2
    density = np.exp(-HEAT * loss - gamma / 2 * (x**2 + y**2))
    truth = HEAT * (loss * density).sum() / density.sum()
    row = rows_of(Cross(), torch.zeros(2, dtype=torch.float64), gamma=gamma, draws=1500)["llc", -1]
    assert 0.2 < truth < 0.6
    assert abs(row.value - truth) < 3 * row.stderr < 0.3


def test_the_units_of_the_weights_do_not_matter_where_gamma_does_not():
    """A change of units of the weights, with γ in the new unit, changes nothing at all."""
    narrow = rows_of(Bowl([100.0, 200.0]), torch.zeros(2).double(), gamma=1000.0, draws=200)
    wide = rows_of(Bowl([1.0, 2.0]), torch.zeros(2).double(), gamma=10.0, draws=200)
    for index in (-1, 0, 1, 2):
        assert narrow["llc", index].value == pytest.approx(wide["llc", index].value, rel=1e-9)


def test_the_ladder_and_the_cost():
    loss = Bowl([1.0, 2.0])
    calls = []
    grad = loss.grad
    loss.grad = lambda theta: calls.append(1) or grad(theta)
    found = rows_of(loss, loss.centre, chains=5, draws=40)
    assert found["evaluations", -1].value == len(calls) == 201 + 3 * 5 * 40
    steps = [found["llc", k].x for k in range(3)]
    assert steps == pytest.approx([steps[0], steps[0] / 2, steps[0] / 4])
    acceptance = [found["acceptance", k].value for k in range(3)]
    assert acceptance == sorted(acceptance)
    assert math.isnan(found["llc", -1].x)


def test_every_chain_has_random_numbers_of_its_own(monkeypatch):
    """The error of the mean over the steps takes them for independent."""
    paths = []
    monkeypatch.setattr(llc, "chain", lambda *args: paths.append(args[-1].path) or langevin.chain(*args))
    loss = Bowl([1.0, 2.0])
    rows_of(loss, loss.centre, draws=4)
    assert len(set(paths)) == len(paths) == 12


def test_steps_that_disagree_are_flagged_and_covered():
    good = Rung(1.0, 4.0, 0.1, r_hat=1.0, share=1.0, share_stderr=0.01, acceptance=0.9)
    rungs = [replace(good, value=value) for value in (5.0, 4.0, 3.0)]
    row = pooled(rungs)
    assert (row.value, row.stderr, row.status) == (4.0, 1.0, "not_converged")
    assert "step" in row.reason
    agreed = pooled([good, good, good])
    assert (agreed.stderr, agreed.status) == (pytest.approx(0.1 / math.sqrt(3)), "ok")
    for doubt in ({"r_hat": 1.2}, {"r_hat": math.nan}, {"share": 0.9}, {"share": math.nan}, {"value": -1.0}):
        assert pooled([good, good, replace(good, **doubt)]).status == "not_converged"
    assert pooled([good, good, replace(good, share=0.9, share_stderr=0.02)]).status == "ok"


def test_chains_too_short_to_spread_are_flagged():
    """A thousand times flatter in one direction than in the other: nobody gets there in 100 moves."""
    loss = Bowl([1000.0, 0.01, 0.01, 0.01])
    found = rows_of(loss, loss.centre, gamma=0.01, draws=100)
    assert found["equipartition", 0].value < 0.5
    assert found["llc", -1].status == "not_converged"
    assert "directions" in found["llc", -1].reason


def test_a_point_that_is_no_minimum_is_flagged():
    loss = Bowl([1.0, 1.0])
    row = rows_of(loss, torch.full((2,), 3.0).double(), gamma=0.1, draws=200)["llc", -1]
    assert row.value < 0
    assert "no minimum" in row.reason


def test_what_has_no_coefficient_says_so():
    loss = Bowl([1.0])
    assert rows_of(loss, loss.centre, examples=1)["llc", -1].status == "not_applicable"
    assert rows_of(Bowl([1.0], math.inf), loss.centre)["llc", -1].status == "nonfinite"


def test_a_network_is_sampled_on_its_training_set(solution, data):
    before = solution.theta_P.clone()
    measure = LLC(draws=20)
    rows = checked("llc", measure(solution, data, Stream(0)))
    assert {r.quantity for r in rows} == set(QUANTITIES["llc"])
    assert {r.split for r in rows} == {"train"}
    loss = Risk(solution, data.train, data)
    assert repr(rows) == repr(checked("llc", measure.sample(loss, solution.theta_P, 40, Stream(0))))
    assert repr(rows) != repr(checked("llc", measure(solution, data, Stream(1))))
    assert torch.equal(before, solution.theta_P)
