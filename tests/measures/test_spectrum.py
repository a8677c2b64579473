import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from gensweep.geometry.risk import Risk
from gensweep.known import Bowl, with_spectrum
from gensweep.measures.spectrum import Spectrum
from gensweep.rng import Stream
from gensweep.rows import checked


def table(rows):
    return {(r.quantity, r.index): r for r in checked("spectrum", rows) if r.quantity != "density"}


def density(rows, probe):
    return np.array([(r.x, r.value) for r in rows if r.quantity == "density" and r.index == probe]).T


def spectrum(values, **settings):
    theta = torch.zeros(len(values), dtype=torch.float64)
    return list(Spectrum(**settings).decompose(with_spectrum(values), theta, Stream(0)))


VALUES = np.sort([*np.geomspace(1e-3, 1, 196), 40.0, 20.0, 10.0, -5.0])


def test_known_spectrum():
    found = table(spectrum(VALUES, top=3))
    for i, expected in enumerate((40.0, 20.0, 10.0)):
        row = found["eigenvalue", i]
        assert (row.value, row.status) == (pytest.approx(expected, rel=1e-8), "ok")
        assert abs(row.value - expected) <= row.stderr + 1e-12 * abs(expected)
        assert 0 < row.stderr <= 1e-3 * abs(expected)
        assert row.stderr == pytest.approx(found["residual", i].value * row.value, rel=1e-9)
    assert found["lambda_min", -1].value == pytest.approx(-5, rel=1e-8)
    assert found["lambda_min", -1].status == "ok"
    total = found["trace", -1]
    assert total.status == "ok"
    assert abs(total.value - VALUES.sum()) < 3 * total.stderr < 0.1 * VALUES.sum()


def test_density_is_a_probability_whose_moments_are_traces():
    """Over the probes, Σλp is tr/n and Σλ²p is ‖H‖²/n, within the probes' own spread."""
    rows = spectrum(VALUES, steps=10, probes=60)
    assert len([r for r in rows if r.quantity == "density"]) == 600
    for power in (1, 2):
        moments = [(x**power) @ p for x, p in (density(rows, probe) for probe in range(60))]
        stderr = np.std(moments, ddof=1) / np.sqrt(60)
        assert abs(np.mean(moments) - np.mean(VALUES**power)) < 3 * stderr < 0.6 * np.mean(VALUES**power)
    assert all(density(rows, probe)[1].sum() == pytest.approx(1, abs=1e-12) for probe in range(60))


def test_more_probes_leave_the_first_ones_alone():
    few, many = spectrum(VALUES, steps=9, probes=2), spectrum(VALUES, steps=9, probes=4)
    assert (density(few, 1) == density(many, 1)).all()
    assert not (density(many, 1) == density(many, 2)).any()


def test_products_are_counted():
    problem, theta = with_spectrum(VALUES), torch.zeros(200, dtype=torch.float64)
    spent = 0
    product = problem.hvp(theta)

    def counted(v):
        nonlocal spent
        spent += 1
        return product(v)

    problem.hvp = lambda theta_P: counted
    rows = Spectrum(steps=12, probes=3).decompose(problem, theta, Stream(0))
    assert table(rows)["products", -1].value == spent


def network_hessian(solution, data, theta):
    def loss(point):
        logits = functional_call(
            solution.model, solution.layout.unpack(point), (torch.from_numpy(data.train.x).double(),)
        )
        return F.cross_entropy(logits, torch.from_numpy(data.train.y))

    return torch.func.hessian(loss)(theta)


def test_the_spectrum_of_a_small_network(solution, data):
    values = np.linalg.eigvalsh(network_hessian(solution, data, solution.theta_P).numpy())
    found = table(Spectrum()(solution, data, Stream(0)))
    assert [found["eigenvalue", i].value for i in range(5)] == pytest.approx(values[::-1][:5], rel=1e-8)
    assert found["lambda_min", -1].value == pytest.approx(values[0], rel=1e-8)
    assert found["trace", -1].value == pytest.approx(values.sum(), rel=1e-10)
    assert all(r.status == "ok" for r in found.values())


def test_batches_change_nothing(solution, data):
    """13 of 40 examples leave a batch of one."""
    whole, parts = (
        table(Spectrum(steps=20).decompose(Risk(solution, data.train, data, c), solution.theta_P, Stream(0)))
        for c in (40, 13)
    )
    for key, row in whole.items():
        assert parts[key].value == pytest.approx(row.value, rel=1e-6, abs=1e-6), key


def test_the_order_of_hidden_neurons_does_not_matter(solution, data):
    parts = solution.layout.unpack(solution.theta_P)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    first, shift, last, rest = parts
    moved = {
        first: parts[first][order],
        shift: parts[shift][order],
        last: parts[last][:, order],
        rest: parts[rest],
    }
    other = dataclasses.replace(solution, theta_P=solution.layout.pack(moved))
    assert not torch.equal(other.theta_P, solution.theta_P)
    here, there = (table(Spectrum()(s, data, Stream(0))) for s in (solution, other))
    for key in (("eigenvalue", 0), ("eigenvalue", 4), ("lambda_min", -1), ("trace", -1)):
        assert there[key].value == pytest.approx(here[key].value, rel=1e-8)


def test_what_has_not_converged_says_how_far_it_is():
    theta = torch.zeros(3000, dtype=torch.float64)
    crowd = Bowl(np.linspace(-1, 1, 3000))
    rows = list(Spectrum(steps=8, probes=5).decompose(crowd, theta, Stream(0)))
    found = table(rows)
    assert found["lambda_min", -1].value == min(r.x for r in rows if r.quantity == "density")
    row = found["lambda_min", -1]
    assert row.status == "not_converged"
    assert f"{found['residual', -1].value:.2g}" in row.reason
    assert found["residual", -1].value > 1e-3


def test_zero_hessian():
    theta = torch.zeros(100, dtype=torch.float64)
    rows = list(Spectrum().decompose(Bowl([0.0] * 100), theta, Stream(0)))
    found = table(rows)
    assert all(found[q].value == 0 for q in (("eigenvalue", 4), ("lambda_min", -1), ("trace", -1)))
    assert density(rows, 0).tolist() == [[0], [1]]


def test_a_hessian_that_is_not_finite_ends_in_rows_that_say_so():
    theta = torch.zeros(100, dtype=torch.float64)
    found = checked("spectrum", Spectrum().decompose(Bowl([np.nan] * 100), theta, Stream(0)))
    assert {r.quantity for r in found if r.status == "nonfinite"} == {
        "eigenvalue",
        "lambda_min",
        "trace",
        "density",
    }
    assert next(r.value for r in found if r.quantity == "products") == 1
