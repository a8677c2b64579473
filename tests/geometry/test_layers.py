import numpy as np
import pytest
import torch
from torch import nn

from gensweep.geometry.fold import folded
from gensweep.geometry.layers import SMALL, input_sizes, layers_of, operator_norm
from gensweep.rng import Stream


def written_out(conv, size):
    """The matrix of a zero-padded convolution, entry by entry."""
    weight = conv.weight.detach().numpy()
    outputs, per_group, kernel = len(weight), weight.shape[1], weight.shape[2:]
    shape = conv(torch.zeros(size, dtype=torch.float64)).shape[1:]
    matrix = np.zeros((*shape, *size[1:]))
    for o in range(outputs):
        for place in np.ndindex(*shape[1:]):
            for c, *step in np.ndindex(per_group, *kernel):
                at = [
                    p * s + d * k - pad
                    for p, s, d, k, pad in zip(
                        place, conv.stride, conv.dilation, step, conv.padding, strict=True
                    )
                ]
                if all(0 <= a < n for a, n in zip(at, size[2:], strict=True)):
                    channel = o // (outputs // conv.groups) * per_group + c
                    matrix[(o, *place, channel, *at)] += weight[(o, c, *step)]
    return matrix.reshape(-1, np.prod(size))


CONVOLUTIONS = {
    "padding": (nn.Conv2d(2, 3, 3, padding=1), (1, 2, 7, 8)),
    "stride": (nn.Conv2d(3, 2, 3, stride=2, padding=1, bias=False), (1, 3, 8, 9)),
    "groups, dilation": (nn.Conv2d(4, 4, (2, 3), dilation=2, groups=2), (1, 4, 6, 7)),
    "one dimension": (nn.Conv1d(3, 4, 5, stride=2, padding=2), (1, 3, 40)),
    "small": (nn.Conv2d(2, 2, 3, padding=1), (1, 2, 2, 3)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_operator_norm_is_the_largest_singular_value_of_the_matrix_written_out(name):
    conv, size = CONVOLUTIONS[name]
    conv = conv.double().requires_grad_(False)
    torch.manual_seed(0)
    conv.weight.normal_()
    norm = operator_norm(conv, torch.Size(size), Stream(0))
    singular = np.linalg.svd(written_out(conv, size), compute_uv=False)
    assert (name == "small") == (np.prod(size) <= SMALL)
    assert norm.value == pytest.approx(singular[0], rel=1e-10)
    assert norm.error <= 1e-6 * norm.value


def test_the_start_of_the_iteration_does_not_matter():
    conv = nn.Conv2d(2, 3, 3, padding=1).double().requires_grad_(False)
    first, second = (operator_norm(conv, torch.Size((1, 2, 8, 8)), Stream(s)).value for s in (0, 1))
    assert first == pytest.approx(second, rel=1e-10)


def test_a_convolution_of_zeros():
    conv = nn.Conv2d(2, 3, 3).double().requires_grad_(False)
    conv.weight.zero_()
    assert operator_norm(conv, torch.Size((1, 2, 8, 8)), Stream(0)).value == 0


def test_layers_in_the_order_of_the_parameters_and_a_batch_norm_that_stays():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.BatchNorm2d(2), nn.Flatten())
    net.append(nn.Linear(8, 3))
    net[3].weight.data = torch.tensor([3.0, -4.0])
    net[3].eps = 0.0
    layers = list(layers_of(folded(net.eval())))
    assert [tuple(layer.weight.shape) for layer in layers] == [(2, 9), (2,), (3, 8)]
    assert [layer.outputs for layer in layers] == [2, 2, 3]
    assert (layers[1].frobenius, layers[1].spectral) == (5, 4)


def test_input_sizes_are_those_in_the_network():
    net = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1))
    sizes = input_sizes(net.double(), torch.zeros(3, 1, 9, 11), torch.float32)
    assert sizes == {net[0]: (1, 1, 9, 11), net[3]: (1, 2, 2, 2)}
    assert not any(module._forward_pre_hooks for module in net)


def test_the_rows_of_a_transposed_convolution_are_its_output_channels():
    layer = nn.ConvTranspose2d(2, 5, 2)
    (found,) = layers_of(layer)
    assert found.outputs == 5
    matrix = layer.weight.detach().double().transpose(0, 1).flatten(1)
    assert found.spectral == pytest.approx(torch.linalg.svdvals(matrix)[0].item(), rel=1e-12)
