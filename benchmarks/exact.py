"""The same quantities by brute force, in plain PyTorch and NumPy, without gensweep's mathematics."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import Bounds, minimize
from torch import Tensor, nn
from torch.func import functional_call, vmap

from gensweep.models.cnn import CNN
from gensweep.models.resnet import Block, ResNet
from nets import Net

CHUNK = 500  # networks evaluated at a time


def outputs(net: Net, theta_P: Tensor) -> Tensor:
    """Logits (N, C) at any parameters, which may be batched by `vmap`."""
    named = list(net.model.named_parameters())
    parts = theta_P.split([p.numel() for _, p in named])
    values = {name: part.view(p.shape) for (name, p), part in zip(named, parts, strict=True)}
    return functional_call(net.model, values, (net.batch[0],))


def loss(net: Net, theta_P: Tensor) -> Tensor:
    """Mean cross-entropy, nats."""
    return F.cross_entropy(outputs(net, theta_P), net.batch[1])


def accuracy(net: Net, theta_P: Tensor) -> Tensor:
    """Fraction classified right."""
    return (outputs(net, theta_P).argmax(1) == net.batch[1]).double().mean()


def everywhere(of: Callable[[Net, Tensor], Tensor], net: Net, theta_KP: Tensor) -> np.ndarray:
    """A number at each of K parameter vectors, (K,)."""
    with torch.no_grad():
        many = vmap(lambda theta_P: of(net, theta_P))
        return torch.cat([many(part) for part in theta_KP.split(CHUNK)]).numpy()


def hessian(net: Net) -> np.ndarray:
    """The dense Hessian (P, P), row by row by differentiating the gradient."""
    dense = torch.autograd.functional.hessian(lambda theta_P: loss(net, theta_P), net.theta_P)
    return dense.numpy()


def margins(net: Net) -> list[float]:
    """Output of the right class minus the best other one, example by example, ascending."""
    rows = net.model(net.batch[0]).tolist()
    labels = net.batch[1].tolist()
    return sorted(
        row[y] - max(z for k, z in enumerate(row) if k != y) for row, y in zip(rows, labels, strict=True)
    )


def mean_loss(net: Net) -> float:
    """Mean cross-entropy, example by example."""
    rows, labels = net.model(net.batch[0]).tolist(), net.batch[1].tolist()
    return float(
        np.mean([math.log(sum(map(math.exp, row))) - row[y] for row, y in zip(rows, labels, strict=True)])
    )


def matrix(layer: nn.Module, shape: torch.Size) -> Tensor:
    """The dense matrix (out, in) of a linear layer as it acts on one whole input, bias left out."""
    basis = torch.eye(shape.numel(), dtype=torch.float64).view(-1, *shape)
    return (layer(basis) - layer(torch.zeros_like(basis[:1]))).flatten(1).T


def path_sum(module: nn.Module, v: Tensor, power: int, biases: bool) -> Tensor:
    """Σ over paths of ∏|w|ᵖ to each entry of the output, from what reaches each entry of the input."""
    if isinstance(module, (CNN, ResNet, nn.Sequential, Block)):
        return _through_parts(module, v, power, biases)
    if isinstance(module, (nn.ReLU, nn.Flatten, nn.Identity)):
        return module(v)
    shape = v.shape[1:]
    if isinstance(module, nn.MaxPool2d):  # every entry of a window passes on at full weight
        area = module.kernel_size**2
        weights = matrix(nn.AvgPool2d(module.kernel_size), shape) * area
    else:
        weights = matrix(module, shape)
    reached = weights.abs().pow(power) @ v.flatten()
    out = module(v)
    shift = module(torch.zeros_like(v)).abs().pow(power) if biases else torch.zeros_like(out)
    return reached.view_as(out) + shift


def _through_parts(module: nn.Module, v: Tensor, power: int, biases: bool) -> Tensor:
    if isinstance(module, Block):
        assert module.shortcut is not None
        branches = path_sum(module.body, v, power, biases), path_sum(module.shortcut, v, power, biases)
        return sum(branches, torch.zeros(()))
    for child in module.children():
        v = path_sum(child, v, power, biases)
    return v


def path_norm(net: Net, power: int, biases: bool) -> float:
    """(Σ over all paths of ∏|w|ᵖ)^(1/p), one dense matrix per layer."""
    with torch.no_grad():
        ones = torch.ones(1, *net.data.input_shape, dtype=torch.float64)
        return path_sum(net.model, ones, power, biases).sum().item() ** (1 / power)


def convolutions(net: Net) -> Iterator[tuple[nn.Module, torch.Size]]:
    """Each convolution, with the batch norm that follows it, and the shape of one input."""
    followers: dict[nn.Module, nn.Module] = {}
    for parent in net.model.modules():
        for one, other in itertools.pairwise(parent.children()):
            if isinstance(one, nn.Conv2d) and isinstance(other, nn.BatchNorm2d):
                followers[one] = other
    shapes: dict[nn.Module, torch.Size] = {}
    layers = [m for m in net.model.modules() if isinstance(m, nn.Conv2d)]
    hooks = [m.register_forward_hook(lambda m, x, _: shapes.update({m: x[0].shape[1:]})) for m in layers]
    with torch.no_grad():
        net.model(net.batch[0][:1])
    for hook in hooks:
        hook.remove()
    for layer in layers:
        yield nn.Sequential(layer, followers.get(layer, nn.Identity())), shapes[layer]


def operator_norms(net: Net) -> np.ndarray:
    """The largest singular value of each convolution's dense matrix, batch norm taken in."""
    with torch.no_grad():
        return np.array([np.linalg.norm(matrix(m, s).numpy(), 2) for m, s in convolutions(net)])


def highest_corner(net: Net, half_width_P: Tensor) -> float:
    """The largest loss over all 2ᴾ corners of a box; that of the whole box when the loss is convex."""
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=len(net.theta_P))), dtype=torch.float64)
    return float(everywhere(loss, net, net.theta_P + signs * half_width_P).max())


def highest_by_lbfgsb(net: Net, half_width_P: Tensor, starts: int) -> tuple[float, int]:
    """The largest loss in a box that 200 iterations of L-BFGS-B find from random starts; gradients spent."""
    draws = np.random.default_rng(0).uniform(-1, 1, (starts, len(half_width_P)))

    def fall(z: np.ndarray, unit: float = 1.0) -> tuple[float, np.ndarray]:
        z_P = torch.from_numpy(z).requires_grad_()
        height = loss(net, net.theta_P + half_width_P * z_P)
        (slope,) = torch.autograd.grad(height, z_P)
        return -height.item() / unit, -slope.numpy() / unit

    unit = np.abs(fall(draws[0])[1]).mean()  # in which the first slope is 1, else the solver stops at once
    settings = {"method": "L-BFGS-B", "options": {"maxiter": 200}, "bounds": Bounds(-1, 1)}
    found = [minimize(fall, z, args=(unit,), jac=True, **settings) for z in draws]
    return max(-f.fun * unit for f in found), sum(f.nfev for f in found)


def crossing(net: Net, step_P: Tensor, level: float, highest: float) -> float:
    """Where the loss along a ray first exceeds a level: a scan of 2,000 points, then halving."""
    grid = np.linspace(0, highest, 2001)
    steps = torch.from_numpy(grid)[:, None] * step_P
    first = int((everywhere(loss, net, net.theta_P + steps) > level).argmax())
    low, high = grid[first - 1], grid[first]
    for _ in range(60):
        middle = (low + high) / 2
        above = loss(net, net.theta_P + middle * step_P).item() > level
        low, high = (low, middle) if above else (middle, high)
    return low


def filter_rms(net: Net) -> Tensor:
    """Root mean square of the filter of each weight, 0 for biases and other 1-D tensors, (P,)."""
    found = []
    for p in net.model.parameters():
        rms = torch.zeros_like(p)
        if p.dim() > 1:
            for i in range(len(p)):
                rms[i] = math.sqrt(sum(w * w for w in p[i].flatten().tolist()) / p[i].numel())
        found.append(rms.flatten())
    return torch.cat(found).detach()


def filter_normalised(net: Net, draw_P: Tensor) -> Tensor:
    """A direction whose filters are as long as those of the network; 1-D tensors get 0."""
    parameters = list(net.model.parameters())
    found = []
    for part, p in zip(draw_P.split([p.numel() for p in parameters]), parameters, strict=True):
        d = part.view(p.shape).clone() if p.dim() > 1 else torch.zeros_like(p)
        for i in range(len(d) if p.dim() > 1 else 0):
            d[i] *= math.sqrt(p[i].square().sum().item() / d[i].square().sum().item())
        found.append(d.flatten())
    return torch.cat(found).detach()


def tolerated(net: Net, drop: float, draws: int) -> float:
    """The σ at which noise of that standard deviation costs ``drop`` of the accuracy on average."""
    noise = torch.from_numpy(np.random.default_rng(2).standard_normal((draws, len(net.theta_P))))
    low, high = 1e-3, 10.0
    for _ in range(20):
        sigma = math.sqrt(low * high)
        cost = accuracy(net, net.theta_P) - everywhere(accuracy, net, net.theta_P + sigma * noise).mean()
        low, high = (sigma, high) if cost < drop else (low, sigma)
    return math.sqrt(low * high)


def mean_under_noise(
    net: Net, spread_P: Tensor, draws: int, number: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """The mean of a function of the loss under Gaussian noise, and its standard error."""
    generator = np.random.default_rng(1)
    found = []
    for _ in range(0, draws, CHUNK):
        noise = torch.from_numpy(generator.standard_normal((CHUNK, len(spread_P))))
        found.append(number(everywhere(loss, net, net.theta_P + noise * spread_P)))
    values = np.concatenate(found)
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
