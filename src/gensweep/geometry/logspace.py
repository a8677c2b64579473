"""Linear steps of a network on activations that are kept as logarithms, all of them non-negative."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

CONVOLVE: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d}


def weighted(layer: Any, x: Tensor, power: int) -> Tensor:
    """A convolution or linear layer with |w|ᵖ for its weights and no bias.

    Weights and inputs are scaled channel by channel before they are multiplied, so that a neuron may
    have any scale.
    """
    axis = axis_of(layer)
    weight = power * layer.weight.abs().log()
    peak = _finite(x.movedim(axis, 0).flatten(1).amax(1))
    outputs, groups = weight.shape[0], getattr(layer, "groups", 1)
    share = peak.view(groups, -1).repeat_interleave(outputs // groups, 0)
    weight = weight + share.reshape(outputs, -1, *[1] * (weight.dim() - 2))
    top = _finite(weight.flatten(1).amax(1))
    used = {"weight": (weight - along(top, weight, 0)).exp()}
    if layer.bias is not None:
        used["bias"] = torch.zeros_like(layer.bias)
    out = functional_call(layer, used, ((x - along(peak, x, axis)).exp(),))
    return out.clamp_min(0).log() + along(top, out, axis)


def summed(pool: Any, x: Tensor) -> Tensor:
    """The sum over each window of a max-pool."""
    size = pool(x).shape[2:]
    return _in_range(lambda v: window_sums(v, size, pool), x)


def averaged(pool: Any, x: Tensor, power: int) -> Tensor:
    """An average-pool with its coefficients to the power p, whatever it does at the border."""
    ones = torch.ones_like(x)
    mean = pool(ones)
    size = mean.shape[2:]
    coefficient = mean / window_sums(ones, size, pool)
    return _in_range(lambda v: window_sums(v, size, pool), x) + power * coefficient.log()


def adapted(pool: Any, x: Tensor, power: int) -> Tensor:
    """An adaptive average-pool with its coefficients to the power p."""
    out = _in_range(pool, x)
    for axis in range(2, x.dim()):
        before, after = x.shape[axis], out.shape[axis]
        first = torch.arange(after, device=x.device) * before
        count = (
            -((-first - before) // after) - first // after
        )  # from the floor to the ceiling of i·before/after
        out = out + along((1 - power) * count.double().log(), out, axis)
    return out


def meaned(x: Tensor, power: int, dim: Any = None, keepdim: bool = False) -> Tensor:
    """A mean over some dimensions with its coefficients to the power p."""
    out = torch.logsumexp(x, tuple(range(x.dim())) if dim is None else dim, keepdim)
    return out - power * math.log(x.numel() / out.numel())


def window_sums(v: Tensor, size: Sequence[int], pool: Any) -> Tensor:
    """The sum of v itself over each window of a pool, (B, C, *size), padding left out."""
    space = v.dim() - 2
    kernel, stride, padding, dilation = (
        _each(getattr(pool, name, 1), space) for name in ("kernel_size", "stride", "padding", "dilation")
    )
    borders = [(p, p + k * d) for p, k, d in zip(padding, kernel, dilation, strict=True)]
    wide = F.pad(v, [side for pair in reversed(borders) for side in pair])  # room for ceil_mode's last window
    window = v.new_ones(1, 1, *kernel)
    sums = CONVOLVE[space](wide.flatten(0, 1)[:, None], window, stride=stride, dilation=dilation)
    for axis, n in enumerate(size):
        sums = sums.narrow(2 + axis, 0, n)
    return sums.reshape(*v.shape[:2], *size).clamp_min(0)


def axis_of(layer: Any) -> int:
    """Where a layer's channels stand."""
    return -1 if isinstance(layer, nn.Linear) else 1


def along(values_C: Tensor, like: Tensor, axis: int) -> Tensor:
    """One value per channel, shaped to broadcast over ``like``."""
    shape = [1] * like.dim()
    shape[axis] = -1
    return values_C.view(shape)


def _in_range(step: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A linear step that keeps channels apart, done where nothing overflows."""
    peak = along(_finite(x.movedim(1, 0).flatten(1).amax(1)), x, 1)
    return step((x - peak).exp()).log() + peak


def _finite(x: Tensor) -> Tensor:
    """The same, with 0 for the logarithm of nothing, so that it can be subtracted."""
    return torch.where(x == -math.inf, 0.0, x)


def _each(value: Any, space: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,) * space
