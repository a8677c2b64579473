"""Path norms against a walk along every single path."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gensweep.geometry.fold import folded
from gensweep.geometry.paths import Unsupported, log_path_sum


class Dag:
    """A network as units and edges, laid one by one; nothing of PyTorch in it."""

    def __init__(self):
        self.edges = []

    def unit(self, edges=()):
        self.edges.append(list(edges))
        return len(self.edges) - 1

    def units(self, shape, edges_of=lambda place: ()):
        ids = np.empty(shape, dtype=int)
        for place in np.ndindex(*shape):
            ids[place] = self.unit(edges_of(place))
        return ids

    def linear(self, x, layer):
        w = layer.weight.tolist()
        return self.units((len(w),), lambda o: [(x[i], w[o[0]][i]) for i in range(len(x))])

    def window(self, x, c, place, kernel, stride, padding):
        for di in range(kernel):
            for dj in range(kernel):
                i, j = place[0] * stride + di - padding, place[1] * stride + dj - padding
                if 0 <= i < x.shape[1] and 0 <= j < x.shape[2]:
                    yield x[c, i, j], (di, dj)

    def size(self, x, kernel, stride, padding):
        return tuple((n + 2 * padding - kernel) // stride + 1 for n in x.shape[1:])

    def conv(self, x, layer):
        w, args = layer.weight.tolist(), (layer.kernel_size[0], layer.stride[0], layer.padding[0])
        per_group, per_output = len(w) // layer.groups, len(w[0])

        def edges(place):
            o = place[0]
            for c in range(per_output):
                channel = (o // per_group) * per_output + c
                for parent, (di, dj) in self.window(x, channel, place[1:], *args):
                    yield parent, w[o][c][di][dj]

        return self.units((len(w), *self.size(x, *args)), edges)

    def pool(self, x, weight, kernel, stride, padding=0):
        def edges(place):
            return [(u, weight) for u, _ in self.window(x, place[0], place[1:], kernel, stride, padding)]

        return self.units((len(x), *self.size(x, kernel, stride, padding)), edges)

    def scale(self, x, norm):
        s = (norm.weight / (norm.running_var + norm.eps).sqrt()).tolist()
        return self.units(x.shape, lambda place: [(x[place], s[place[0]])])

    def add(self, x, y):
        return self.units(x.shape, lambda place: [(x[place], 1.0), (y[place], 1.0)])

    def blocks(self, x, bounds):
        """Means over blocks, given as lists of (start, end) per axis."""
        rows, columns = bounds

        def edges(place):
            inside = x[place[0], slice(*rows[place[1]]), slice(*columns[place[2]])].flatten()
            return [(u, 1 / len(inside)) for u in inside]

        return self.units((len(x), len(rows), len(columns)), edges)

    def every_path(self, ends, power):
        """Σ over all paths of ∏|w|ᵖ, one path at a time, and how many paths there are."""
        stack, total, paths = [(u, 1.0) for u in ends.flatten()], [], 0
        while stack:
            unit, product = stack.pop()
            if not self.edges[unit]:
                total.append(product)
                paths += 1
            stack += [(parent, product * abs(w) ** power) for parent, w in self.edges[unit]]
        return math.fsum(total), paths


def lived_in(model):
    torch.manual_seed(3)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.3, 3)
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    return model.double().eval().requires_grad_(False)


class Plain(nn.Module):
    """Stride, padding, groups, batch norm that folds, max-pool with padding."""

    shape = (2, 5, 6)

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2), nn.BatchNorm2d(4)
        self.pool, self.b = nn.MaxPool2d(2, stride=2, padding=1), nn.Conv2d(4, 4, 2, groups=2)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(4, 3)

    def forward(self, x):
        x = self.pool(F.leaky_relu(self.norm(self.a(x)), 0.1))
        return self.out(self.drop(torch.flatten(self.b(x), 1)))

    def dag(self, dag, x):
        x = dag.pool(dag.scale(dag.conv(x, self.a), self.norm), 1.0, 2, 2, 1)
        return dag.linear(dag.conv(x, self.b).flatten(), self.out)


class Residual(nn.Module):
    """Pre-activation block with a projection, zero-padded channels, average-pool, mean over space."""

    shape = (1, 4, 5)

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
        self.stem, self.conv = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1, bias=False)
        self.side, self.pool, self.out = nn.Conv2d(2, 2, 1), nn.AvgPool2d(2, 1, padding=1), nn.Linear(6, 2)

    def forward(self, x):
        x = self.first(self.stem(x) + F.pad(x, (0, 0, 0, 0, 0, 1)))
        x = F.relu(x)
        y = self.second(self.conv(x))
        y += self.side(x)
        y = self.pool(y.relu())[:, :, ::2, ::2]
        y = torch.cat([y, torch.zeros_like(y), y], 1)
        y = y.mean((2, 3))
        return self.out(y.view(y.size(0), 2 * y.shape[1] // 2))

    def dag(self, dag, x):
        stem = dag.conv(x, self.stem)
        short = np.concatenate([x, x])  # the second channel is padding: no edge there
        first = dag.units(
            stem.shape,
            lambda p: [(stem[p], 1.0), *([(short[p], 1.0)] if p[0] == 0 else [])],
        )
        x = dag.scale(first, self.first)
        y = dag.add(dag.scale(dag.conv(x, self.conv), self.second), dag.conv(x, self.side))
        y = dag.pool(y, 0.25, 2, 1, 1)[:, ::2, ::2]
        nothing = dag.units(y.shape, lambda place: [(y[place], 0.0)])
        y = np.concatenate([y, nothing, y])
        height, width = y.shape[1:]
        return dag.linear(dag.blocks(y, [[(0, height)], [(0, width)]]).flatten(), self.out)


class Adaptive(nn.Module):
    """Uneven adaptive windows, functional pools, a border that does not count."""

    shape = (1, 5, 7)

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 2, 2), nn.Linear(2 * 2 * 4, 2)
        self.norm = nn.BatchNorm2d(2)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv(x)), 2, 1)
        return self.out(F.adaptive_avg_pool2d(self.norm(x), (2, 4)).flatten(1))

    def dag(self, dag, x):
        x = dag.scale(dag.pool(dag.conv(x, self.conv), 1.0, 2, 1), self.norm)
        windows = [[(0, 2), (1, 3)], [(0, 2), (1, 3), (2, 4), (3, 5)]]
        return dag.linear(dag.blocks(x, windows).flatten(), self.out)


NETS = [Plain, Residual, Adaptive]


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("build", NETS)
def test_equals_the_sum_over_every_single_path(build, power):
    model, dag = lived_in(build()), Dag()
    exact, paths = dag.every_path(model.dag(dag, dag.units(model.shape)), power)
    assert paths > 1000
    found = log_path_sum(folded(model), model.shape, power)
    assert math.exp(found) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize(
    "pool",
    [
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d(2, divisor_override=3),
        nn.AdaptiveAvgPool2d((3, 4)),
        nn.AdaptiveAvgPool2d(1),
    ],
    ids=str,
)
def test_an_average_is_a_convolution_with_its_coefficients(pool, power):
    """The coefficients, powered, from the pool's response to each unit input."""
    side = 6
    basis = torch.eye(side * side, dtype=torch.float64).view(-1, 1, side, side)
    exact = pool(basis).pow(power).sum().item()
    assert math.exp(log_path_sum(folded(nn.Sequential(pool)), (1, side, side), power)) == pytest.approx(exact)


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.MaxPool2d(2, 1, dilation=2)], ids=str
)
def test_a_max_pool_counts_its_window_or_only_the_largest(pool):
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, 2, bias=False).double().requires_grad_(False)
    first = F.conv2d(torch.ones(1, 1, 8, 8).double(), conv.weight.abs())
    network = folded(nn.Sequential(conv, pool))
    kept = pool(first).sum().item()
    rows = torch.arange(first[0, 0].numel(), dtype=torch.float64).view(1, 1, *first.shape[2:])
    members = [(pool(torch.where(rows == r, 1.0, 0.0)) > 0).sum() for r in rows.flatten()]
    counted = (first.sum(1).flatten() * torch.stack(members)).sum().item()
    assert math.exp(log_path_sum(network, (1, 8, 8), 1, "max")) == pytest.approx(kept)
    assert math.exp(log_path_sum(network, (1, 8, 8), 1, "sum")) == pytest.approx(counted)


def test_biases_start_paths_of_their_own():
    layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double().requires_grad_(False)
    for layer, (w, b) in zip(layers[::2], [([[1, -2], [3, 4]], [5, -6]), ([[-7, 8]], [9])], strict=True):
        layer.weight.copy_(torch.tensor(w))
        layer.bias.copy_(torch.tensor(b))
    network = folded(layers)
    assert math.exp(log_path_sum(network, (2,), 1)) == pytest.approx(7 * 3 + 8 * 7)
    assert math.exp(log_path_sum(network, (2,), 1, biases=True)) == pytest.approx(7 * 8 + 8 * 13 + 9)
    assert math.exp(log_path_sum(network, (2,), 2, biases=True)) == pytest.approx(49 * 30 + 64 * 61 + 81)


def test_the_shift_of_a_batch_norm_is_a_bias():
    norm = nn.BatchNorm1d(1, eps=0.0).double().eval().requires_grad_(False)
    norm.running_mean.fill_(3.0)
    norm.running_var.fill_(4.0)
    norm.weight.fill_(-6.0)
    norm.bias.fill_(1.0)  # -3x + 10
    network = folded(nn.Sequential(nn.ReLU(), norm))
    assert math.exp(log_path_sum(network, (1,), 2)) == pytest.approx(9)
    assert math.exp(log_path_sum(network, (1,), 2, biases=True)) == pytest.approx(109)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_a_hundred_layers_of_any_scale(scale):
    layers = [nn.Conv2d(1, 1, 1, bias=False) for _ in range(100)]
    for layer in layers:
        nn.init.constant_(layer.double().weight, scale)
    found = log_path_sum(folded(nn.Sequential(*layers)), (1, 2, 2), 2) / math.log(10)
    assert found == pytest.approx(200 * math.log10(scale) + math.log10(4), rel=1e-12)


def test_neurons_of_opposite_scales_do_not_drown_each_other():
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).double().requires_grad_(False)
    net[0].weight.copy_(torch.tensor([[1e200], [1e-200]], dtype=torch.float64))
    net[2].weight.copy_(torch.tensor([[1e-200, 1e200]], dtype=torch.float64))
    assert math.exp(log_path_sum(folded(net), (1,), 2)) == pytest.approx(2, rel=1e-10)


def test_no_path_is_minus_infinity():
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).double().requires_grad_(False)
    net[0].weight.zero_()
    assert log_path_sum(folded(net), (2,), 1) == -math.inf


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.MultiheadAttention(4, 2)

    def forward(self, x):
        return self.mix(x, x, x)[0]


class Shifted(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step, self.position = step, nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.step(self, x)


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.Tanh()), r"1 \(Tanh\)"),
        (nn.Sequential(nn.Linear(4, 4), nn.GELU()), "GELU"),
        (nn.Sequential(nn.LeakyReLU(2.0)), "slope 2"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), "BatchNorm1d without stored"),
        (Attending(), r"mix \(MultiheadAttention\)"),
        (Shifted(lambda own, x: F.softmax(x, 1)), "softmax"),
        (Shifted(lambda own, x: x.sigmoid()), "sigmoid"),
        (Shifted(lambda own, x: x * x), "mul"),
        (Shifted(lambda own, x: x + 1), "constant"),
        (Shifted(lambda own, x: x + own.position), "position"),
        (Shifted(lambda own, x: F.pad(x, (1, 1), value=1.0)), "padding"),
        (Shifted(lambda own, x: torch.add(x, x, alpha=2)), "add"),
        (Shifted(lambda own, x: torch.cat([x, torch.zeros(1, 1)], 1)), "outside any layer"),
        (Shifted(lambda own, x: torch.sqrt(x)), "sqrt"),
    ],
)
def test_what_has_no_paths_is_named(model, named):
    with pytest.raises(Unsupported, match=named):
        log_path_sum(folded(model.double().eval()), (4,), 1)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(KeyError):
        log_path_sum(folded(nn.Sequential(nn.ReLU())), (1,), 1, "mean")
