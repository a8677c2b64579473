from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from gensweep.data.base import Data, Split
from gensweep.data.resident import resident
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.rng import Stream


def net():
    layers = [nn.Flatten(), nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5)]
    return nn.Sequential(*layers)


@pytest.fixture
def problem():
    model = drawn(net, Stream(0)).double()
    x = (Stream(1).uniform(90 * 12) * 256).astype(np.uint8).reshape(90, 3, 2, 2)
    part = Split(x, Stream(2).integers(5, 90), np.arange(90))
    data = Data(part, part, part, part, 5, mean=np.array([9.0, 8, 7]), std=np.array([50.0, 60, 70]))
    theta = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model, theta, theta), data


def test_is_the_mean_cross_entropy_of_the_normalised_split_in_eval_mode(problem):
    solution, data = problem
    x = torch.from_numpy(data.train.x).double()
    x = (x - torch.tensor([9.0, 8, 7]).view(1, 3, 1, 1)) / torch.tensor([50.0, 60, 70]).view(1, 3, 1, 1)
    with torch.no_grad():
        expected = F.cross_entropy(solution.model.eval()(x), torch.from_numpy(data.train.y))
    assert Risk(solution, data.train, data)(solution.theta_P) == pytest.approx(expected.item(), rel=1e-12)


def test_two_calls_agree_exactly_and_many_is_each(problem):
    solution, data = problem
    risk = Risk(solution, data.train, data)
    points = [solution.theta_P * s for s in (1.0, 0.5, 2.0)]
    assert risk(points[0]) == risk(points[0])
    assert risk.many(iter(points)).tolist() == [risk(p) for p in points]


def test_chunks_change_nothing(problem):
    solution, data = problem
    whole, parts = Risk(solution, data.train, data), Risk(solution, data.train, data, chunk=7)
    assert parts(solution.theta_P) == pytest.approx(whole(solution.theta_P), rel=1e-14)
    assert torch.allclose(parts.grad(solution.theta_P)[1], whole.grad(solution.theta_P)[1], rtol=1e-12)


def test_pieces_are_of_nearly_one_size(problem):
    solution, data = problem
    risk = Risk(solution, data.train, data, chunk=7)
    assert sorted(len(y) for _, y in risk.chunks()) == [6] + [7] * 12
    assert [len(y) for _, y in Risk(solution, data.train, data, chunk=90).chunks()] == [90]


def test_gradient_is_the_finite_difference(problem):
    solution, data = problem
    risk = Risk(solution, data.train, data)
    value, gradient = risk.grad(solution.theta_P)
    assert value == pytest.approx(risk(solution.theta_P), rel=1e-14)
    d = torch.from_numpy(Stream(9).normal(len(gradient))).double()
    step = 1e-6
    slope = (risk(solution.theta_P + step * d) - risk(solution.theta_P - step * d)) / (2 * step)
    assert (gradient @ d).item() == pytest.approx(slope, rel=1e-6)


def test_nothing_is_written_to_the_network(problem):
    solution, data = problem
    before = {k: v.clone() for k, v in solution.model.state_dict().items()}
    theta = solution.theta_P.clone()
    risk = Risk(solution, data.train, data)
    risk(solution.theta_P + 1)
    risk.grad(solution.theta_P + 1)
    assert all(torch.equal(v, before[k]) for k, v in solution.model.state_dict().items())
    assert torch.equal(theta, solution.theta_P)
    assert all(p.grad is None for p in solution.model.parameters())


def test_small_losses_of_float32_nets_keep_their_digits():
    """A margin of 20 logits costs ln(1 + 4e⁻²⁰); a cross-entropy in float32 says 0."""
    model = nn.Linear(1, 5, bias=False)
    theta = torch.tensor([20.0, 0, 0, 0, 0])
    one = Split(np.ones((1, 1), np.float32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    data = Data(one, one, one, one, 5, mean=np.zeros(1), std=np.ones(1))
    risk = Risk(Solution(model, theta, theta), one, data)
    assert risk(theta) == pytest.approx(np.log1p(4 * np.exp(-20)), rel=1e-6)


def dense_hessian(solution, data):
    """The Hessian of the mean cross-entropy, by another road than Risk takes."""
    layout = Layout.of(solution.model.eval())
    x = (torch.from_numpy(data.train.x).double() - torch.tensor([9.0, 8, 7]).view(1, 3, 1, 1)) / torch.tensor(
        [50.0, 60, 70]
    ).view(1, 3, 1, 1)

    def loss(theta):
        logits = functional_call(solution.model, layout.unpack(theta), (x,))
        return F.cross_entropy(logits, torch.from_numpy(data.train.y))

    return torch.func.hessian(loss)(solution.theta_P)


@pytest.mark.parametrize("chunk", [90, 89, 7, 1])
def test_hessian_vector_product_is_the_dense_hessian_whatever_the_chunks(problem, chunk):
    """At most 7 means twelve pieces of 7 and one of 6, which an unweighted mean would count too much."""
    solution, data = problem
    hessian, product = (
        dense_hessian(solution, data),
        Risk(solution, data.train, data, chunk).hvp(solution.theta_P),
    )
    columns = torch.stack([product(e) for e in torch.eye(len(hessian), dtype=torch.float64)])
    assert torch.allclose(columns, hessian, rtol=0, atol=1e-10 * hessian.abs().max().item())
    assert torch.allclose(columns, columns.T, rtol=0, atol=1e-13)


def test_products_do_not_depend_on_those_before_and_leave_no_gradient(problem):
    solution, data = problem
    risk = Risk(solution, data.train, data)
    product = risk.hvp(solution.theta_P)
    v = torch.from_numpy(Stream(9).normal(len(solution.theta_P))).double()
    first = product(v)
    product(2 * v)
    risk.grad(solution.theta_P + 1)
    assert torch.equal(product(v), first)
    assert torch.equal(risk.hvp(solution.theta_P)(v), first)
    assert all(p.grad is None for p in solution.model.parameters())


def test_products_keep_the_type_of_the_vector():
    """Krylov vectors are float64 whatever the network computes in."""
    model = drawn(net, Stream(0))
    x = (Stream(1).uniform(20 * 12) * 256).astype(np.uint8).reshape(20, 3, 2, 2)
    part = Split(x, Stream(2).integers(5, 20), np.arange(20))
    data = Data(part, part, part, part, 5, mean=np.array([9.0, 8, 7]), std=np.array([50.0, 60, 70]))
    theta = Layout.of(model).pack(dict(model.named_parameters()))
    product = Risk(Solution(model, theta, theta), part, data).hvp(theta)
    assert product(torch.ones(len(theta), dtype=torch.float64)).dtype == torch.float64


def test_the_solution_says_which_loss(problem):
    solution, data = problem
    hinge = replace(solution, loss=lambda logits, y: -logits.gather(1, y[:, None])[:, 0])
    risk = Risk(hinge, data.train, data)
    own = risk.logits(solution.theta_P).gather(1, risk.y[:, None])
    assert risk(solution.theta_P) == pytest.approx(-own.mean().item(), rel=1e-14)


def test_a_linear_loss_of_a_linear_network_has_a_hessian_of_zeros():
    one = Split(np.ones((4, 2), np.float32), np.zeros(4, np.int64), np.arange(4))
    theta = torch.tensor([1.0, 2.0, 3.0, 4.0])
    solution = Solution(nn.Linear(2, 2, bias=False), theta, loss=lambda logits, y: logits[:, 0])
    risk = Risk(solution, one, Data(one, one, one, one, 2))
    assert risk(theta) == 3
    assert not risk.hvp(theta)(torch.ones(4)).any()


@pytest.mark.parametrize("chunk", [4, 3])
def test_attention_has_a_symmetric_hessian(chunk):
    """The kernel that PyTorch takes by itself has no second derivative on a CPU."""

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.q = nn.Linear(2, 6)

        def forward(self, x):
            q, k, v = self.q(x.view(-1, 3, 2)).chunk(3, -1)
            return F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0].mean(1)

    model = drawn(Attention, Stream(0)).double()
    x = Split(Stream(1).normal(24).reshape(4, 6), np.arange(4) % 2, np.arange(4))
    theta = Layout.of(model).pack(dict(model.named_parameters()))
    product = Risk(Solution(model, theta), x, Data(x, x, x, x, 2), chunk).hvp(theta)
    hessian = torch.stack([product(e) for e in torch.eye(len(theta)).double()])
    assert hessian.norm() > 0.01
    assert torch.allclose(hessian, hessian.T, atol=1e-12)


def test_without_constants_numbers_change_type_and_indices_stay():
    tokens = Split(np.array([[1, 2]]), np.zeros(1, np.int64), np.zeros(1, np.int64))
    pixels = Split(np.array([[1.5, 2]]), tokens.y, tokens.index)
    for split, dtype in ((tokens, torch.int64), (pixels, torch.float32)):
        x, _ = resident(split, Data(split, split, split, split, 2), torch.device("cpu"), torch.float32)
        assert x.dtype == dtype
        assert x.tolist() == split.x.tolist()
