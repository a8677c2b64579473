import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.margin import margins, order_quantile
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.measures.path_norms import PathNorms
from gensweep.rng import Stream
from gensweep.rows import checked

QUANTITIES = ("log10_l1_path", "log10_l1_path_raw", "log10_l2_path", "log10_l2_path_raw")


def rows_of(solution, data, **settings):
    return {r.quantity: r for r in checked("path_norms", PathNorms(**settings)(solution, data, Stream(0)))}


def values(solution, data, **settings):
    return [rows_of(solution, data, **settings)[quantity].value for quantity in QUANTITIES]


def made_right(solution, data):
    """The same data, labelled as the network would have it: every margin is positive."""
    logits = Risk(solution, data.train, data).logits(solution.theta_P)
    return replace(data, train=replace(data.train, y=logits.argmax(1).numpy()))


def solution_of(model):
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model.eval(), theta_P, theta_P.clone())


@pytest.fixture
def images():
    x = Stream(5).normal(30 * 2 * 6 * 6).reshape(30, 2, 6, 6)
    part = Split(x, np.zeros(30, np.int64), np.arange(30))
    return Data(part, part, part, part, num_classes=3, mean=np.zeros(1), std=np.ones(1))


@pytest.fixture
def convnet():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    net.append(nn.Linear(16, 3))
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 2)
    return net.double()


def test_two_layers_by_hand(solution, data):
    data = made_right(solution, data)
    found, parts = rows_of(solution, data), solution.layout.unpack(solution.theta_P)
    first, second = parts["layers.1.weight"], parts["layers.3.weight"]
    sums = [(second.abs() ** p @ first.abs() ** p).sum().item() for p in (1, 2)]
    risk = Risk(solution, data.train, data)
    gamma = order_quantile(margins(risk.logits(solution.theta_P), risk.y), 0.05)
    assert found["log10_l1_path_raw"].value == pytest.approx(math.log10(sums[0] ** 2), rel=1e-10)
    assert found["log10_l2_path_raw"].value == pytest.approx(math.log10(sums[1]), rel=1e-10)
    assert found["log10_l1_path"].value == pytest.approx(math.log10(sums[0] ** 2 / gamma**2), rel=1e-10)
    assert found["log10_l2_path"].value == pytest.approx(math.log10(sums[1] / gamma**2), rel=1e-10)
    assert found["log10_l1_path"].stderr > 0 == found["log10_l1_path_raw"].stderr


def test_the_parameters_come_from_the_solution_not_from_the_module(solution, data):
    data = made_right(solution, data)
    doubled = replace(solution, theta_P=2 * solution.theta_P)
    before, after = rows_of(solution, data), rows_of(doubled, data)
    rise = after["log10_l2_path_raw"].value - before["log10_l2_path_raw"].value
    assert rise == pytest.approx(math.log10(2**4))


@pytest.mark.parametrize("settings", [{}, {"pooling": "max"}, {"biases": True}], ids=str)
def test_rescaling_single_neurons_changes_nothing(convnet, images, settings):
    images = made_right(solution_of(convnet), images)
    before = values(solution_of(convnet), images, **settings)
    factor = torch.tensor([1e-3, 7.0, 1.0, 1e4]).double()
    with torch.no_grad():
        convnet[1].weight *= factor
        convnet[1].bias *= factor
        convnet[5].weight /= factor.repeat_interleave(4)
    assert values(solution_of(convnet), images, **settings) == pytest.approx(before, rel=1e-10)


def test_a_convolution_before_batch_norm_may_have_any_scale(convnet, images):
    images = made_right(solution_of(convnet), images)
    convnet[1].eps = 0.0
    before = values(solution_of(convnet), images, biases=True)
    with torch.no_grad():
        convnet[0].weight *= 3
        convnet[0].bias *= 3
        convnet[1].running_mean *= 3
        convnet[1].running_var *= 9
    assert values(solution_of(convnet), images, biases=True) == pytest.approx(before, rel=1e-10)


def test_a_bias_that_batch_norm_takes_out_again_is_no_path(convnet, images):
    images = made_right(solution_of(convnet), images)
    before = values(solution_of(convnet), images, biases=True)
    with torch.no_grad():
        convnet[0].bias += 5
        convnet[1].running_mean += 5
    assert values(solution_of(convnet), images, biases=True) == pytest.approx(before, rel=1e-10)


def test_settings_reach_the_sum(convnet, images):
    l2 = [
        rows_of(solution_of(convnet), images, **settings)["log10_l2_path_raw"].value
        for settings in ({"pooling": "max"}, {}, {"biases": True})
    ]
    assert l2[0] < l2[1] < l2[2]


def test_a_margin_that_is_not_positive_leaves_the_raw_forms(convnet, images):
    found = rows_of(solution_of(convnet), images)
    assert found["log10_l1_path"].status == found["log10_l2_path"].status == "not_applicable"
    assert "not positive" in found["log10_l1_path"].reason
    assert found["log10_l1_path_raw"].status == found["log10_l2_path_raw"].status == "ok"


def test_no_path_at_all_says_so(solution, data):
    found = rows_of(replace(solution, theta_P=0 * solution.theta_P), data)
    assert found["log10_l1_path_raw"].status == "nonfinite"
    assert "zero" in found["log10_l1_path_raw"].reason


class Moody(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        return self.out(x) if x.sum() > 0 else self.out(-x)


@pytest.mark.parametrize(
    ("model", "obstacle"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.Tanh()), "paths are not defined through 1 (Tanh)"),
        (Moody(), "Moody"),
    ],
    ids=["tanh", "control flow"],
)
def test_every_row_names_what_stands_in_the_way(data, model, obstacle):
    found = rows_of(solution_of(model.double()), data)
    assert set(found) == set(QUANTITIES)
    for row in found.values():
        assert row.status == "not_applicable"
        assert obstacle in row.reason


def test_the_solution_is_left_bit_for_bit(convnet, images):
    theta_P = Layout.of(convnet).pack(dict(convnet.named_parameters()))
    solution = Solution(convnet.eval(), theta_P + 0.1, theta_P.clone())
    before, state = copy.deepcopy(convnet.state_dict()), solution.theta_P.clone()
    rows_of(solution, images)
    assert torch.equal(solution.theta_P, state)
    assert all(torch.equal(before[key], value) for key, value in convnet.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in convnet.parameters())
    assert isinstance(convnet[1], nn.BatchNorm2d)
