import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.measures.norms import PER_LAYER, PRODUCTS, Norms, over_margin
from gensweep.rng import Stream
from gensweep.rows import checked


def rows_of(solution, data):
    return {(r.quantity, r.index): r for r in checked("norms", Norms()(solution, data, Stream(0)))}


def made_right(solution, data):
    """The same data, labelled as the network would have it: every margin is positive."""
    logits = Risk(solution, data.train, data).logits(solution.theta_P)
    return replace(data, train=replace(data.train, y=logits.argmax(1).numpy()))


def test_norms_by_hand(solution, data):
    found, parts = rows_of(solution, data), solution.layout.unpack(solution.theta_P)
    weights = [parts["layers.1.weight"], parts["layers.3.weight"]]
    assert found["l2_norm", -1].value == pytest.approx(solution.theta_P.norm().item())
    assert found["l2_distance", -1].value == pytest.approx(0.1 * math.sqrt(len(solution.theta_P)))
    for i, w in enumerate(weights):
        assert found["layer_frobenius", i].value == pytest.approx(w.square().sum().sqrt().item())
        assert found["layer_spectral", i].value == pytest.approx(torch.linalg.svdvals(w)[0].item())


def test_products_by_hand():
    row = over_margin("log10_l2", [2.0, 3.0], 0.5, 0.05)
    assert row.value == pytest.approx(math.log10(2**2 * 3**2 / 0.5**2))
    assert row.stderr == pytest.approx(2 * 0.05 / 0.5 / math.log(10))


def test_products_do_not_overflow():
    assert over_margin("log10_l2", [1e200] * 20, 1.0, 0.0).value == pytest.approx(8000)


def test_products_are_invariant_to_rescaling_between_layers(solution, data):
    data = made_right(solution, data)
    before = rows_of(solution, data)["log10_spectral", -1]
    parts = solution.layout.unpack(solution.theta_P)
    parts["layers.1.weight"] *= 8
    parts["layers.1.bias"] *= 8
    parts["layers.3.weight"] /= 8
    after = rows_of(solution, data)["log10_spectral", -1]
    assert before.status == "ok"
    assert after.value == pytest.approx(before.value)


@pytest.mark.parametrize("gamma", [0.0, -0.3])
def test_a_margin_that_is_not_positive_is_no_margin(gamma):
    row = over_margin("log10_l2", [2.0], gamma, 0.1)
    assert (row.status, math.isnan(row.value)) == ("not_applicable", True)
    assert "not positive" in row.reason


def test_bounds_have_a_factor_per_layer_more(solution, data):
    found = rows_of(solution, made_right(solution, data))
    l2 = found["log10_l2_bound", -1].value - found["log10_l2", -1].value
    spectral = found["log10_spectral_bound", -1].value - found["log10_spectral", -1].value
    assert l2 == pytest.approx(math.log10(4 * 4))
    assert spectral == pytest.approx(math.log10(6 * 3))


def test_of_a_network_without_convolutions_spectral_and_operator_norm_are_one(solution, data):
    found = rows_of(solution, made_right(solution, data))
    assert found["log10_operator", -1].value == found["log10_spectral", -1].value
    ranks = [(found["layer_frobenius", i].value / found["layer_spectral", i].value) ** 2 for i in (0, 1)]
    assert found["frobenius_over_spectral", -1].value == pytest.approx(sum(ranks))


def image_data():
    x = Stream(5).normal(30 * 2 * 6 * 6).reshape(30, 2, 6, 6)
    part = Split(x, np.zeros(30, np.int64), np.arange(30))
    return Data(part, part, part, part, num_classes=3, mean=np.zeros(1), std=np.ones(1))


def convnet():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3)
    )
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 2)
    nn.init.normal_(net[1].weight)
    return net.double().eval()


def solution_of(model):
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model, theta_P, theta_P.clone())


def test_batch_norm_is_folded_first():
    net, data = convnet(), image_data()
    found = rows_of(solution_of(net), made_right(solution_of(net), data))
    scale = net[1].weight / (net[1].running_var + net[1].eps).sqrt()
    kernel = (net[0].weight * scale[:, None, None, None]).detach()
    basis = torch.eye(72, dtype=torch.float64).view(72, 2, 6, 6)
    matrix = F.conv2d(basis, kernel, stride=2, padding=1).flatten(1)
    by_hand = [kernel.norm(), torch.linalg.svdvals(kernel.flatten(1))[0], torch.linalg.svdvals(matrix)[0]]
    names = ["layer_frobenius", "layer_spectral", "layer_operator"]
    assert [found[name, 0].value for name in names] == pytest.approx([v.item() for v in by_hand], rel=1e-10)
    assert found["layer_operator", 0].value > 1.01 * found["layer_spectral", 0].value
    assert 0 < found["layer_operator", 0].stderr < 1e-6
    both = found["layer_operator", 0].value * found["layer_operator", 1].value
    gained = found["log10_operator", -1].value - found["log10_spectral", -1].value
    reshaped = found["layer_spectral", 0].value * found["layer_spectral", 1].value
    assert gained == pytest.approx(2 * math.log10(both / reshaped))


def test_a_convolution_before_batch_norm_may_have_any_scale():
    net, data = convnet(), image_data()
    net[1].eps = 0.0
    data = made_right(solution_of(net), data)
    before = rows_of(solution_of(net), data)
    with torch.no_grad():
        net[0].weight *= 3
        net[0].bias *= 3
        net[1].running_mean *= 3
        net[1].running_var *= 9
    after = rows_of(solution_of(net), data)
    for key in before.keys() - {("l2_norm", -1), ("l2_distance", -1)}:
        assert after[key].value == pytest.approx(before[key].value, rel=1e-9), key


def test_the_solution_is_left_bit_for_bit():
    net = convnet()
    solution, before = solution_of(net), copy.deepcopy(net.state_dict())
    theta_P = solution.theta_P.clone()
    rows_of(solution, image_data())
    assert torch.equal(solution.theta_P, theta_P)
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())
    assert not any(m._forward_pre_hooks or m.training for m in net.modules())


class Moody(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.out, self.norm = nn.Linear(4, 3), norm

    def forward(self, x):
        return self.norm(self.out(x)) if x.sum() > 0 else self.out(-x)


def test_only_batch_norm_needs_a_network_that_can_be_traced(data):
    plain = rows_of(solution_of(Moody(nn.Identity()).double().eval()), data)
    assert plain["layer_operator", 0].status == "ok"
    normed = rows_of(solution_of(Moody(nn.BatchNorm1d(3)).double().eval()), data)
    reasons = [row.reason for row in normed.values() if row.status == "not_applicable"]
    assert len(reasons) == len(PER_LAYER) + len(PRODUCTS)
    assert all("cannot trace Moody" in reason for reason in reasons)
    assert normed["l2_norm", -1].status == "ok"


def test_a_layer_without_an_operator_norm_is_named(data):
    model = nn.Sequential(nn.Unflatten(1, (4, 1)), nn.ConvTranspose1d(4, 3, 1), nn.Flatten()).double().eval()
    found = rows_of(solution_of(model), made_right(solution_of(model), data))
    assert found["layer_spectral", 0].status == "ok"
    assert "ConvTranspose1d" in found["layer_operator", 0].reason
    assert found["log10_operator", -1].status == "not_applicable"


def test_a_layer_of_zeros_says_so(solution, data):
    found = rows_of(replace(solution, theta_P=0 * solution.theta_P), data)
    assert found["frobenius_over_spectral", -1].status == "not_applicable"
    row = over_margin("log10_l2", [0.0], 1.0, 0.0)
    assert (row.status, row.reason) == ("nonfinite", "the logarithm of zero")
