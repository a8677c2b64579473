import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.measures.gradient import Gradient
from gensweep.rng import Stream
from gensweep.rows import QUANTITIES, checked

FISHER_RAO = ("fisher_rao", "fisher_rao_model")


def measured(solution, data, **settings):
    return {r.quantity: r for r in checked("gradient", Gradient(**settings)(solution, data, Stream(0)))}


def at(model, theta=None):
    model = model.double().eval()
    theta_P = Layout.of(model).pack(dict(model.named_parameters())) if theta is None else theta
    return Solution(model, theta_P, torch.zeros_like(theta_P))


def numbers(*shape, name="w"):
    return torch.from_numpy(Stream(5).child(name).normal(math.prod(shape))).double().reshape(shape)


def softmax_regression(data):
    """Inputs, probabilities and one-hot labels of a linear layer, by hand."""
    model = nn.Linear(4, 3, bias=False).double()
    w = 0.7 * numbers(3, 4)
    x, y = torch.from_numpy(data.train.x).double(), torch.from_numpy(data.train.y)
    return at(model, w.reshape(-1)), w, x, torch.softmax(x @ w.T, 1), torch.eye(3).double()[y]


def test_softmax_regression_by_hand(data):
    """gᵢ = (pᵢ − eᵢ)xᵢᵀ, and the output along w is the output itself."""
    solution, w, x, p, e = softmax_regression(data)
    found = measured(solution, data, examples=None)
    g = torch.einsum("nc,nd->ncd", p - e, x).reshape(40, -1)
    distances = (g - g.mean(0)).square().sum(1)
    assert found["gradient_norm"].value == pytest.approx(g.mean(0).norm().item(), rel=1e-12)
    assert found["gradient_norm"].stderr == 0
    assert found["gradient_variance"].value == pytest.approx(distances.mean().item(), rel=1e-12)
    assert found["gradient_variance"].stderr == pytest.approx(distances.std().item() / 40**0.5, rel=1e-12)
    logits = x @ w.T
    squares = ((p - e) * logits).sum(1).square()
    norm = squares.mean().sqrt().item()
    assert found["fisher_rao"].value == pytest.approx(norm, rel=1e-12)
    assert found["fisher_rao"].stderr == pytest.approx(squares.std().item() / 40**0.5 / (2 * norm), rel=1e-12)
    every = torch.stack([((p - label) * logits).sum(1).square() for label in torch.eye(3).double()], 1)
    assert found["fisher_rao_model"].value == pytest.approx(
        (p * every).sum(1).mean().sqrt().item(), rel=1e-12
    )


@pytest.mark.parametrize("hidden", [1, 2, 3])
def test_homogeneous_networks_have_the_closed_form(data, hidden):
    """Without biases f(aθ) = aᵈf(θ) at depth d = L + 1, so ‖θ‖_fr² = (L+1)² E⟨∂ℓ/∂f, f⟩²."""
    layers = [nn.Linear(4, 5, bias=False), nn.ReLU()]
    for _ in range(hidden - 1):
        layers += [nn.Linear(5, 5, bias=False), nn.ReLU()]
    solution = at(nn.Sequential(*layers, nn.Linear(5, 3, bias=False)))
    solution = replace(solution, theta_P=numbers(len(solution.theta_P)))
    risk = Risk(solution, data.train, data)
    f = risk.logits(solution.theta_P)
    slope = torch.softmax(f, 1) - torch.eye(3).double()[risk.y]
    exact = (hidden + 1) * (slope * f).sum(1).square().mean().sqrt().item()
    assert exact > 0.1
    assert measured(solution, data)["fisher_rao"].value == pytest.approx(exact, rel=1e-10)


def test_it_is_the_mean_over_single_gradients(solution, data):
    """Biases included, in a network that is not homogeneous; chunks change nothing."""
    risk = Risk(solution, data.train, data)
    g = torch.stack(list(risk.example_grads(solution.theta_P, range(40))))
    found = measured(solution, data)["fisher_rao"].value
    assert found == pytest.approx((g @ solution.theta_P).square().mean().sqrt().item(), rel=1e-10)
    assert torch.allclose(g.mean(0), risk.grad(solution.theta_P)[1], rtol=1e-10, atol=1e-14)
    small = Risk(solution, data.train, data, chunk=7)
    for whole, parts in zip(
        risk.logits_along(solution.theta_P, solution.theta_P),
        small.logits_along(solution.theta_P, solution.theta_P),
        strict=True,
    ):
        assert torch.allclose(whole, parts, rtol=1e-12, atol=1e-14)


def rescaled(solution):
    factors = torch.tensor(np.geomspace(0.2, 5, 6))
    (w1, b1, w2, b2) = solution.layout.unpack(solution.theta_P).values()
    parts = (w1 * factors[:, None], b1 * factors, w2 / factors, b2)
    return replace(solution, theta_P=torch.cat([part.reshape(-1) for part in parts]))


def test_rescaled_neurons_leave_the_fisher_rao_norm_alone(solution, data):
    before, after = measured(solution, data), measured(rescaled(solution), data)
    for name in FISHER_RAO:
        assert after[name].value == pytest.approx(before[name].value, rel=1e-10)
    for name in ("gradient_norm", "gradient_variance"):
        assert abs(after[name].value / before[name].value - 1) > 0.1


def test_the_scale_before_batch_norm_leaves_the_fisher_rao_norm_alone(data):
    def build(factors):
        model = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
        weight, norm = model[0].weight, model[1]
        with torch.no_grad():
            model.double()
            weight.copy_(numbers(6, 4) * factors[:, None])
            norm.weight.copy_(1 + 0.3 * numbers(6, name="g"))
            norm.running_mean.copy_(0.2 * numbers(6, name="m") * factors)
            norm.running_var.copy_((1 + norm.eps) * factors**2 - norm.eps)
            model[3].weight.copy_(numbers(3, 6, name="v"))
            model[3].bias.copy_(numbers(3, name="b"))
        return at(model)

    plain, scaled = build(torch.ones(6).double()), build(torch.tensor(np.geomspace(0.2, 5, 6)))
    mean = plain.model[1].running_mean.clone()
    before, after = measured(plain, data), measured(scaled, data)
    for name in FISHER_RAO:
        assert after[name].value == pytest.approx(before[name].value, rel=1e-10)
    assert after["gradient_norm"].value != pytest.approx(before["gradient_norm"].value, rel=1e-3)
    assert torch.equal(plain.model[1].running_mean, mean)
    assert plain.model[1].num_batches_tracked == 0


def test_examples_are_independent_of_their_neighbours_with_batch_norm(data):
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    solution = at(model)
    solution.model.train()  # a measure puts it into eval mode
    risk = Risk(solution, data.train, data)
    (single,) = risk.example_grads(solution.theta_P, [3])
    train = data.train
    alone = Risk(solution, Split(train.x[3:4], train.y[3:4], train.index[3:4]), data)
    assert torch.allclose(single, alone.grad(solution.theta_P)[1], rtol=1e-10, atol=1e-14)


def test_a_sample_of_examples_estimates_the_variance():
    x = Stream(3).child("x").normal(4000).reshape(1000, 4)
    y = Stream(3).child("y").integers(3, 1000)
    none = Split(x[:0], y[:0], np.arange(0))
    data = Data(Split(x, y, np.arange(1000)), none, none, none, 3, np.zeros(1), np.ones(1))
    solution = at(nn.Linear(4, 3))
    whole, part = (measured(solution, data, examples=n)["gradient_variance"] for n in (None, 250))
    assert 0 < abs(part.value - whole.value) < 3 * part.stderr
    assert part.stderr == pytest.approx(2 * whole.stderr, rel=0.3)
    first = measured(solution, data, examples=250)["gradient_norm"]
    assert first == measured(solution, data, examples=None)["gradient_norm"]


def test_all_rows_stand_on_the_training_set_and_the_solution_is_left_alone(solution, data):
    before = solution.theta_P.clone()
    found = measured(solution, data)
    assert set(found) == set(QUANTITIES["gradient"])
    assert {r.split for r in found.values()} == {"train"}
    assert all(r.status == "ok" and r.value > 0 for r in found.values())
    assert torch.equal(before, solution.theta_P)
