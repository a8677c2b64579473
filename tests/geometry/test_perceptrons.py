"""Many points of a perceptron at once, beside each by itself on the plain road."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry import perceptrons as module
from gensweep.geometry.combinations import Combinations
from gensweep.geometry.perceptrons import losses_and_hits
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution, cross_entropy
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.mlp import MLP
from gensweep.rng import Stream

SHAPE, N = (1, 3, 3), 91
NETS = {
    "linear": lambda: MLP(SHAPE, 4, []),
    "one layer": lambda: MLP(SHAPE, 4, [5]),
    "three layers": lambda: MLP(SHAPE, 4, [6, 3, 5]),
    "one logit": lambda: MLP(SHAPE, 2, [5], single_logit=True),
    "a user's": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(9, 7, bias=False), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 4)
    ),
}


def risk_of(build, dtype=torch.float64, **settings):
    """A risk over random examples, and the network's parameters."""
    model = drawn(build, Stream(0)).to(dtype)
    x = Stream(1).normal(N * 9).reshape(N, *SHAPE)
    classes = 2 if isinstance(model, MLP) and model.single_logit else 4
    split = Split(x, Stream(2).integers(classes, N), np.arange(N))
    data = Data(split, split, split, split, classes, mean=np.zeros(1), std=np.ones(1))
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Risk(Solution(model, theta_P), split, data, **settings), theta_P


def steps(theta_P, count):
    return [torch.from_numpy(Stream(7).child(k).normal(len(theta_P))).to(theta_P) for k in range(count)]


def plain(risk, points):
    """Loss and accuracy of each point as PyTorch has them."""
    found = []
    for point in points:
        logits = risk.forward(point, risk.x).detach().double()
        found.append(
            (F.cross_entropy(logits, risk.y).item(), (logits.argmax(1) == risk.y).double().mean().item())
        )
    return np.array(found)


@pytest.mark.parametrize("net", NETS)
def test_any_points_are_those_of_the_plain_road(net):
    risk, theta_P = risk_of(NETS[net])
    points = [theta_P + 0.5 * step for step in steps(theta_P, 7)]
    assert risk.perceptrons
    assert np.allclose(risk.scores(iter(points)), plain(risk, points), rtol=1e-13, atol=0)
    assert risk.many(points).tolist() == risk.scores(points)[:, 0].tolist()
    assert risk(points[0]) == pytest.approx(plain(risk, points)[0, 0], rel=1e-13)


@pytest.mark.parametrize("net", NETS)
def test_combinations_of_all_vectors_are_those_of_the_plain_road(net):
    risk, theta_P = risk_of(NETS[net])
    vectors_JP = torch.stack([theta_P, *steps(theta_P, 2)])
    points = Combinations.of_all(vectors_JP, [(1.0, x, y) for x in (-0.7, 0.0, 0.3) for y in (0.0, 0.9)])
    assert np.allclose(risk.scores(points), plain(risk, points), rtol=1e-13, atol=0)


@pytest.mark.parametrize("net", NETS)
def test_combinations_with_a_vector_of_their_own_are_those_of_the_plain_road(net):
    risk, theta_P = risk_of(NETS[net])
    vectors_JP = torch.stack([theta_P, *steps(theta_P, 4)])
    c_KT = torch.tensor([[1, 0.1], [1, 0.5], [1, 2.0], [1, -1.0], [1, 0.0]], dtype=torch.float64)
    points = Combinations(vectors_JP, c_KT, torch.tensor([[0, 3], [0, 1], [0, 1], [0, 4], [0, 2]]))
    by_hand = [theta_P + c * vectors_JP[j] for (_, c), (_, j) in zip(c_KT, points.which_KT, strict=True)]
    assert np.allclose(risk.scores(points), plain(risk, by_hand), rtol=1e-13, atol=0)
    assert all(torch.equal(point, expected) for point, expected in zip(points, by_hand, strict=True))


@pytest.mark.parametrize(
    ("name", "value"), [("PIECE", 1), ("CACHED", 1), ("HELD", 1), ("GROUP", 1), ("MOST", 7)]
)
def test_sizes_of_pieces_and_groups_change_nothing(monkeypatch, name, value):
    monkeypatch.setattr(module, "LEAST", 4)
    monkeypatch.setattr(module, name, value)
    risk, theta_P = risk_of(NETS["three layers"])
    vectors_JP = torch.stack([theta_P, *steps(theta_P, 2)])
    plane = Combinations.of_all(vectors_JP, [(1.0, 0.1 * k, 0.7) for k in range(5)])
    for points in (plane, plane[:2], list(plane)):
        assert np.allclose(risk.scores(points), plain(risk, points), rtol=1e-13, atol=0)


def test_first_layers_that_were_kept_serve_the_same_vectors_only():
    risk, theta_P = risk_of(NETS["one layer"])
    near, far = (torch.stack([theta_P, step]) for step in steps(theta_P, 2))
    for vectors_JP in (near, far, near):
        points = Combinations.of_all(vectors_JP, [(1.0, 0.3)])
        assert np.allclose(risk.scores(points), plain(risk, points), rtol=1e-13, atol=0)


def test_equal_calls_agree_exactly():
    risk, theta_P = risk_of(NETS["three layers"], torch.float32)
    points = [theta_P + step for step in steps(theta_P, 5)]
    assert risk.scores(points).tolist() == risk.scores(iter(points)).tolist()


def test_float32_is_off_by_its_rounding():
    risk, theta_P = risk_of(NETS["three layers"], torch.float32)
    exact, _ = risk_of(NETS["three layers"])
    points = [theta_P + step for step in steps(theta_P, 7)]
    found, expected = risk.scores(points), exact.scores(point.double() for point in points)
    assert np.allclose(found[:, 0], expected[:, 0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_from_the_smallest_to_the_largest_keep_their_digits(dtype):
    """ln(1 + Σ e^(l_c − l_y)): a sum of probabilities would say 0 below the rounding of 1."""
    margins = torch.tensor([-1e4, -200.0, -30.0, 0.5, 18.0, 60.0, 80.0], dtype=torch.float64)
    logits_1CB = torch.stack([margins + 3, 3 + 0 * margins, 3 + 0 * margins])[None]
    expected = torch.where(margins < -100, math.log(2) - margins, torch.log1p(2 * torch.exp(-margins)))
    y_B = torch.zeros(len(margins), dtype=torch.int64)
    others_CB = torch.tensor([[-math.inf], [0], [0]], dtype=dtype).expand(3, len(margins))
    losses, hits = losses_and_hits((logits_1CB / math.log(2)).to(dtype), y_B, others_CB)
    assert losses[0].double().tolist() == pytest.approx(expected.tolist(), rel=200 * torch.finfo(dtype).eps)
    assert hits[0].tolist() == (margins > 0).tolist()


def test_of_equal_logits_the_first_counts_as_the_largest():
    y_B = torch.tensor([0, 1, 2])
    logits_CB = torch.tensor([[1.0, 1, 1], [1, 1, 1], [0, 0, 1]])
    others_CB = torch.zeros(3, 3).scatter_(0, y_B[None], -math.inf)
    _, hits = losses_and_hits(logits_CB[None].clone(), y_B, others_CB)
    assert hits[0].tolist() == (logits_CB.argmax(0) == y_B).tolist() == [True, False, False]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_finite_stays_so(value):
    risk, theta_P = risk_of(NETS["one layer"])
    theta_P[0] = value
    assert not np.isfinite(risk.many([theta_P, theta_P])).any()


def another(**changes):
    def build():
        model = MLP(SHAPE, 4, [5])
        for name, change in changes.items():
            change(model.get_submodule(name.replace("_", ".")))
        return model

    return build


OTHERS = {
    "a convolution": lambda: CNN(SHAPE, 4, 2),
    "another activation": lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 4)),
    "nothing between two layers": lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Linear(5, 4)),
    "ReLU at the end": lambda: nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.ReLU()),
    "a frozen layer": another(layers_1=lambda layer: layer.requires_grad_(False)),
    "a hook": another(layers_1=lambda layer: layer.register_forward_hook(lambda m, given, out: 2 * out)),
    "weight normalisation": another(layers_1=nn.utils.parametrizations.weight_norm),
}


@pytest.mark.parametrize("net", OTHERS)
def test_other_networks_take_the_plain_road(net):
    risk, theta_P = risk_of(OTHERS[net])
    assert risk.perceptrons is None
    points = [theta_P + 0.1 * step for step in steps(theta_P, 3)]
    assert np.allclose(risk.scores(points), plain(risk, points), rtol=1e-13, atol=0)
    assert risk.together == 1


def test_one_weight_in_two_places_takes_the_plain_road():
    twice = nn.Linear(9, 9)
    risk, _ = risk_of(
        lambda: nn.Sequential(nn.Flatten(), twice, nn.ReLU(), twice, nn.ReLU(), nn.Linear(9, 4))
    )
    assert risk.perceptrons is None


def test_another_loss_takes_the_plain_road():
    assert risk_of(NETS["one layer"], per_example=cross_entropy)[0].perceptrons
    assert risk_of(NETS["one layer"], per_example=lambda o, y: cross_entropy(o, y))[0].perceptrons is None
