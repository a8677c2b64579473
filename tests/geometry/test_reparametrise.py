"""Maps of the parameters that leave the function as it was."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.errors import InputError
from gensweep.geometry import reparametrise
from gensweep.geometry.reparametrise import hidden, places, reparametrised
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.known import lived_in
from gensweep.measures.path_norms import PathNorms
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.mlp import MLP
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream

IMAGE = (1, 8, 8)
NETS = {
    "mlp": lambda: MLP(IMAGE, 3, [7, 5]),
    "cnn": lambda: CNN(IMAGE, 3, 4),
    "resnet8": lambda: ResNet(IMAGE, 3, 8),
    "resnet8 without shortcuts": lambda: ResNet(IMAGE, 3, 8, shortcuts=False),
}
HOW = ("layer", "neuron", "batch_norm", "permutation")
CASES = [(net, how) for net in NETS for how in HOW if (net, how) != ("mlp", "batch_norm")]


def images(shape=IMAGE, n=30):
    x = Stream(5).normal(n * math.prod(shape)).reshape(n, *shape)
    split = Split(x, np.arange(n) % 3, np.arange(n))
    return Data(split, split, split, split, num_classes=3, mean=np.zeros(1), std=np.ones(1))


def solved(build, dtype=torch.float64):
    """A solution away from its start, with batch-norm statistics as after training."""
    model = lived_in(drawn(build, Stream(3))).requires_grad_(True).to(dtype)
    init_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model, init_P + 0.05, init_P, target_loss=0.1)


def logits(solution, data):
    return Risk(solution, data.train, data).logits(solution.theta_P)


@pytest.mark.parametrize(("net", "how"), CASES)
def test_outputs_stay_and_the_parameters_do_not(net, how):
    data, solution = images(), solved(NETS[net])
    state, theta_P = copy.deepcopy(solution.model.state_dict()), solution.theta_P.clone()
    new, change = reparametrised(solution, data, how, Stream(0))
    before, after = logits(solution, data), logits(new, data)
    assert (after - before).abs().max() <= 1e-12 * before.abs().max()
    assert change == ((after - before).abs().max() / before.abs().max()).item()
    assert not torch.equal(new.theta_P, theta_P)
    assert torch.equal(new.init_P, solution.init_P)
    assert new.target_loss == 0.1
    assert torch.equal(solution.theta_P, theta_P)
    assert all(torch.equal(state[name], value) for name, value in solution.model.state_dict().items())


@pytest.mark.parametrize("how", HOW)
def test_single_precision_stays_single(how):
    new, change = reparametrised(solved(NETS["cnn"], torch.float32), images(), how, Stream(0))
    assert {new.theta_P.dtype, *(p.dtype for p in new.model.parameters())} == {torch.float32}
    assert 0 <= change < 1e-5


def by_hand():
    """f(x) = relu(x₁ + 2x₂ + 1)·5 + relu(3x₁ + 4x₂ − 1)·6 + 7, twice, so that there are two classes."""
    model = MLP((2,), 2, [2]).double()
    theta_P = torch.tensor([1, 2, 3, 4, 1, -1, 5, 6, -5, -6, 7, 8], dtype=torch.float64)
    return Solution(model, theta_P, torch.zeros(12, dtype=torch.float64))


def two_inputs():
    return images((2,))


def test_layer_by_hand():
    new, change = reparametrised(by_hand(), two_inputs(), "layer", Stream(0))
    assert new.theta_P.tolist() == [4, 8, 12, 16, 4, -4, 1.25, 1.5, -1.25, -1.5, 7, 8]
    assert change == 0


def test_neuron_by_hand():
    rng = Stream(0)
    a, b = 4.0 ** (2 * rng.child("neuron", 0).uniform(2) - 1)
    assert a != b
    assert (np.array([a, b]) >= 0.25).all()
    assert (np.array([a, b]) < 4).all()
    new, _ = reparametrised(by_hand(), two_inputs(), "neuron", rng)
    expected = [a, 2 * a, 3 * b, 4 * b, a, -b, 5 / a, 6 / b, -5 / a, -6 / b, 7, 8]
    assert new.theta_P.tolist() == pytest.approx(expected, rel=1e-15)


def test_permutation_by_hand(monkeypatch):
    monkeypatch.setattr(Stream, "permutation", lambda self, n: np.array([1, 0]))
    new, _ = reparametrised(by_hand(), two_inputs(), "permutation", Stream(0))
    assert new.theta_P.tolist() == [3, 4, 1, 2, -1, 1, 6, 5, -6, -5, 7, 8]


def test_batch_norm_by_hand():
    """Biases are scaled with the weights; γ and β stay; the variance takes ε along."""
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.5)).double().eval()
    model[1].running_mean.fill_(3.0)
    model[1].running_var.fill_(2.0)
    theta_P = torch.tensor([1.0, 2, 0.5, 0.25], dtype=torch.float64)
    new, _ = reparametrised(Solution(model, theta_P, theta_P), images((1,)), "batch_norm", Stream(0))
    assert new.theta_P.tolist() == [4, 8, 0.5, 0.25]
    assert new.model[1].running_mean.tolist() == [12]
    assert new.model[1].running_var.tolist() == [16 * 2.5 - 0.5]


def test_l2_norm_of_a_scaled_layer_in_closed_form():
    """A convolution before batch norm stays as it is: γ and β carry the factor."""
    solution = solved(NETS["cnn"])
    new, _ = reparametrised(solution, images(), "layer", Stream(0))
    parts = {k: v.norm().item() ** 2 for k, v in solution.layout.unpack(solution.theta_P).items()}
    factors = {"layers.1.weight": 16, "layers.1.bias": 16, "layers.4.weight": 1 / 16}
    factors |= {"layers.5.weight": 16, "layers.5.bias": 16, "layers.9.weight": 1 / 16}
    expected = sum(factors.get(name, 1) * square for name, square in parts.items())
    assert new.theta_P.norm().item() ** 2 == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("net", "how"), CASES)
def test_path_norms_stay(net, how):
    data, solution = images(), solved(NETS[net])
    new, _ = reparametrised(solution, data, how, Stream(0))
    before, after = (PathNorms(biases=True).logs(s, data) for s in (solution, new))
    assert after == pytest.approx(before, abs=1e-10)


def test_places_within_blocks_only():
    """Across a residual sum the units of several layers are one; batch norms may follow any layer."""
    found = hidden(ResNet(IMAGE, 3, 8))
    assert len(found) == 10
    assert sum(place.reader is not None for place in found) == 3
    assert len(places(ResNet(IMAGE, 3, 8), "batch_norm")) == 9
    assert len(places(ResNet(IMAGE, 3, 8, shortcuts=False), "neuron")) == 7


def test_columns_of_a_flattened_map_move_together():
    def build():
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))

    for how in ("layer", "neuron", "permutation"):
        assert reparametrised(solved(build), images(), how, Stream(0))[1] < 1e-12


class Functional(nn.Module):
    """The same steps as functions and methods; a batch norm without γ lets nothing be scaled."""

    def __init__(self, affine=True):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, affine=affine)
        self.out = nn.Linear(4 * 36, 3)

    def forward(self, x):
        return self.out(torch.flatten(self.norm(self.conv(x)).relu(), 1))


def test_functions_and_methods_are_followed():
    for how in HOW:
        assert reparametrised(solved(Functional), images(), how, Stream(0))[1] < 1e-12


def test_batch_norm_without_gamma_can_be_permuted_but_not_scaled():
    solution = solved(lambda: Functional(affine=False))
    for how in ("batch_norm", "permutation"):
        assert reparametrised(solution, images(), how, Stream(0))[1] < 1e-12
    with pytest.raises(InputError, match="reparametrise=layer needs hidden units"):
        reparametrised(solution, images(), "layer", Stream(0))


class Moody(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.again, self.out = nn.Linear(2, 2), nn.Linear(2, 3)

    def forward(self, x):
        return self.out(torch.relu(self.again(torch.relu(self.again(x)))))


@pytest.mark.parametrize(
    ("model", "how", "sentence"),
    [
        (MLP(IMAGE, 3, [4]), "batch_norm", "reparametrise=batch_norm needs batch norm .* MLP has none"),
        (MLP(IMAGE, 3, []), "permutation", "reparametrise=permutation needs hidden units .* MLP has none"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2)), "neuron", "needs hidden units"),
        (nn.Sequential(nn.Conv2d(2, 2, 1, groups=2), nn.Conv2d(2, 2, 1)), "neuron", "needs hidden units"),
        (Twice(), "neuron", "needs hidden units"),
        (Moody(), "layer", "has to follow the units .* cannot trace Moody"),
    ],
)
def test_a_network_without_a_place_says_so(model, how, sentence):
    with pytest.raises(InputError, match=sentence):
        places(model, how)


def test_none_is_the_solution_itself():
    solution = solved(NETS["mlp"])
    assert reparametrised(solution, images(), "none", Stream(0)) == (solution, 0.0)
    assert places(Moody(), "none") == []


class Offset(nn.Module):
    """Its parameter is hidden from the graph of layers: a constant is added between them."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        return self.third(torch.relu(self.second(torch.relu(self.first(x))))) + self.second.weight.sum()


def test_a_part_that_the_map_does_not_know_is_caught():
    solution = solved(Offset)
    with pytest.raises(
        InputError, match=r"reparametrise=neuron changed an output of Offset by .*more than 1e-09"
    ):
        reparametrised(solution, two_inputs(), "neuron", Stream(0))


def unscaled_statistics(place, rng):
    for part in place.layer.parameters():
        part.mul_(4)


def unscaled_bias(place, rng):
    weight, _ = place.scalable
    weight.mul_(4)
    place.reader.weight.div_(4)


def wrong_columns(place, rng):
    reparametrise.permutation(place, rng)
    place.reader.weight.copy_(place.reader.weight.flip(1))


@pytest.mark.parametrize("fault", [unscaled_statistics, unscaled_bias, wrong_columns])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_wrong_map_is_caught(fault, dtype, monkeypatch):
    monkeypatch.setitem(reparametrise.MAPS, "layer", (fault, lambda place: bool(place.scalable), ""))
    with pytest.raises(InputError, match="changed an output of CNN"):
        reparametrised(solved(NETS["cnn"], dtype), images(), "layer", Stream(0))


def test_places_draw_for_themselves():
    """Two layers of one size get factors of their own, and another seed gives others."""

    def factors(seed):
        solution = solved(lambda: MLP(IMAGE, 3, [6, 6]))
        new, _ = reparametrised(solution, images(), "neuron", Stream(seed))
        biases = [name for name in solution.layout.shapes if name.endswith("bias")][:2]
        before, after = (s.layout.unpack(s.theta_P) for s in (solution, new))
        return [(after[name] / before[name]).tolist() for name in biases]

    (first, second), (other, _) = factors(0), factors(1)
    assert first != second
    assert first != other
    assert factors(0) == [first, second]
