import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from gensweep.geometry.fold import BATCH_NORMS, Untraceable, folded, network_at, scale_and_shift
from gensweep.geometry.solution import Layout, Solution
from gensweep.known import lived_in


class PreActivation(nn.Module):
    """One batch norm follows a convolution, the other a sum."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(1, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.out = nn.Linear(3, 2)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.second(self.conv(torch.relu(self.first(x))))
        return self.out(x.mean((2, 3)))


NETS = {
    "conv2d": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        ),
        (2, 6, 5),
        0,
    ),
    "conv1d, no affine": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4, affine=False)),
        (2, 7),
        0,
    ),
    "linear": (lambda: nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), (5,), 0),
    "after a sum": (PreActivation, (1, 4, 4), 1),
    "after a relu": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.BatchNorm2d(3)),
        (1, 4, 4),
        1,
    ),
}


def norms_in(model):
    return sum(isinstance(module, BATCH_NORMS) for module in model.modules())


@pytest.mark.parametrize("name", NETS)
def test_outputs_stay_and_the_model_too(name):
    build, shape, left = NETS[name]
    model = lived_in(build())
    before, norms = copy.deepcopy(model.state_dict()), norms_in(model)
    x = torch.randn(6, *shape, dtype=torch.float64)
    new = folded(model)
    assert torch.allclose(new(x), model(x), rtol=0, atol=1e-10)
    assert norms_in(new) == left
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert norms_in(model) == norms


def test_a_layer_that_serves_twice_keeps_its_batch_norm():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)

        def forward(self, x):
            return self.conv(self.norm(self.conv(x)))

    model = lived_in(Twice())
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    assert torch.allclose(folded(model)(x), model(x), rtol=0, atol=1e-10)


def test_scale_and_shift_are_what_batch_norm_does():
    norm = lived_in(nn.BatchNorm1d(3))
    scale, shift = scale_and_shift(norm)
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(norm(x), x * scale + shift, rtol=0, atol=1e-12)
    assert scale_and_shift(nn.BatchNorm1d(3, track_running_stats=False)) is None


def test_the_copy_holds_the_solution_not_the_module():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    theta_P = torch.arange(6.0)
    network = network_at(Solution(model, theta_P, theta_P))
    assert torch.equal(Layout.of(nn.Linear(2, 2)).pack(dict(network[0].named_parameters())), theta_P.double())
    assert not network.training


def test_what_cannot_be_traced_says_why():
    class Moody(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(Untraceable, match=r"cannot trace Moody: .*control flow"):
        folded(Moody())


def test_normalised_weights_are_worked_out_and_the_original_keeps_its_class():
    torch.manual_seed(0)
    model = nn.Sequential(weight_norm(nn.Linear(3, 2)), nn.ReLU(), spectral_norm(nn.Linear(2, 2))).eval()
    layout = Layout.of(model)
    solution = Solution(model, 2 * layout.pack(dict(model.named_parameters())))
    network, x = network_at(solution), torch.eye(3)
    expected = functional_call(model, layout.unpack(solution.theta_P), (x,))
    assert torch.allclose(network(x.double()).float(), expected, rtol=1e-5, atol=1e-6)
    assert {type(module) for module in network} == {nn.Linear, nn.ReLU}
    model(x)  # its own properties are still there


def test_a_single_layer_is_a_step_of_its_own():
    network = folded(nn.Linear(3, 2))
    assert [node.op for node in network.graph.nodes] == ["placeholder", "call_module", "output"]
