"""Layers that look at a whole batch of which each process holds a part: batch norm and dropout."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gensweep.ranks import Ranks

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@contextlib.contextmanager
def whole_batch(
    model: nn.Module, ranks: Ranks, rows_B: Tensor, size: int, norms: bool = True
) -> Iterator[None]:
    """Inside, a forward pass in training mode treats the part of a batch as one process treats the whole.

    Args:
        model: Its layers are put back at the end.
        ranks: The processes that share the batch.
        rows_B: Which examples of the whole batch this process has.
        size: Examples of the whole batch.
        norms: Whether batch norm takes mean and variance over all processes; else each takes its own.

    Error: Exact, up to rounding: batch statistics are summed in float64, masks are those of one process.
    """
    layers = [m for m in model.modules() if isinstance(m, DROPOUTS) or (norms and isinstance(m, NORMS))]
    for layer in layers:
        forward: Any = (
            partial(normalised, layer, ranks)
            if isinstance(layer, NORMS)
            else partial(dropped, layer, rows_B, size)
        )
        layer.__dict__["forward"] = forward  # found before the class's own
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


def dropped(dropout: nn.Module, rows_B: Tensor, size: int, x: Tensor) -> Tensor:
    """Dropout by the rows of the mask that is drawn for the whole batch."""
    mask = type(dropout).forward(dropout, torch.ones(size, *x.shape[1:], dtype=x.dtype, device=x.device))
    return x * mask[rows_B]


def normalised(norm: Any, ranks: Ranks, x: Tensor) -> Tensor:
    """Batch norm by the mean and variance of all processes' values.

    Source: Ioffe and Szegedy 2015 (1502.03167), algorithm 1.
    """
    channels = x.shape[1]
    dims = [0, *range(2, x.dim())]
    values = x.double()
    number = values.new_full((1,), x.numel() / channels)
    part = torch.cat([values.sum(dims), values.square().sum(dims), number])
    sums, squares, n = ranks.total_with_gradient(part).split([channels, channels, 1])
    mean = sums / n
    variance = (squares / n - mean.square()).clamp_min(0)
    _remember(norm, mean.detach(), variance.detach() * n.detach() / (n.detach() - 1))
    shape = (1, channels, *(1 for _ in dims[1:]))
    scaled = (values - mean.view(shape)) * torch.rsqrt(variance.view(shape) + norm.eps)
    if norm.affine:
        scaled = scaled * norm.weight.view(shape) + norm.bias.view(shape)
    return scaled.to(x.dtype)


@torch.no_grad()
def _remember(norm: Any, mean_C: Tensor, variance_C: Tensor) -> None:
    """Let the stored statistics follow those of this batch."""
    if norm.track_running_stats:
        norm.num_batches_tracked += 1
        pace = 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean_C.to(norm.running_mean), pace)
        norm.running_var.lerp_(variance_C.to(norm.running_var), pace)


@torch.no_grad()
def average_statistics(model: nn.Module, ranks: Ranks) -> None:
    """Give all processes the mean of what their batch norms remember, as if they did after every update."""
    norms = [m for m in model.modules() if isinstance(m, NORMS) and m.track_running_stats]
    buffers = [b for m in norms for b in (m.running_mean, m.running_var) if b is not None]
    if buffers and ranks.several:
        whole = ranks.total(torch.cat(buffers)) / ranks.place.world
        for buffer, mean in zip(buffers, whole.split([len(b) for b in buffers]), strict=True):
            buffer.copy_(mean)
