"""Path norms, and the norms of convolutions as the maps that they are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

import peers
from gensweep.geometry.fold import folded, network_at
from gensweep.geometry.layers import input_sizes, operator_norm
from gensweep.measures.path_norms import PathNorms
from patterns import squared_path_sum
from ratios import Ratio, Way, compared
from subjects import RNG, Subject, perceptron, residual

AVERAGED = (
    64  # places that a ResNet's last pool averages over; the pattern does not square what it divides by
)


def rows() -> Iterator[Ratio]:
    """A perceptron and a residual network."""
    for net, pooled in ((perceptron(512, 10_000), 1), (residual(20, 500), AVERAGED)):
        yield squared(net, pooled)
        yield toolkit(net)
    yield operators(residual(20, 500))


def path_norm(net: Subject) -> float:
    """Ours: log10 of the sum over all paths of squared weights, biases included."""
    return PathNorms(biases=True).logs(net.solution, net.data)["log10_l2_path"]


def squared(net: Subject, pooled: int) -> Ratio:
    """One pass of squared weights in float32, batch norm folded before the clock starts."""
    plain = folded(network_at(net.solution)).float()

    def theirs() -> float:
        return math.log10(squared_path_sum(plain, net.data.input_shape) / pooled)

    return compared(
        *("path norm", net.name, "r.-g.-measures pattern"),
        *(Way(lambda: path_norm(net), 2), Way(theirs)),
        lambda a, b: abs(a - b),
        1e-4,
        note="per norm, in log10; ours folds batch norm, cannot overflow",
    )


def toolkit(net: Subject) -> Ratio:
    """The path-norm toolkit, where a checkout of it is at hand."""

    def theirs() -> float:
        from pathnorm import compute_path_norm

        return 2 * math.log10(compute_path_norm(net.model, tuple(net.data.input_shape), exponent=2))

    ways = Way(lambda: path_norm(net), 2), Way(theirs)
    return compared("path norm", net.name, "pathnorm", *ways, lambda a, b: abs(a - b), 1e-4, note="per norm")


def operators(net: Subject) -> Ratio:
    """The largest singular value of each convolution on the input that it meets, against `svds`."""
    model = folded(network_at(net.solution))
    sizes = input_sizes(model, net.batch[0][:2], torch.float32)
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]

    def ours() -> np.ndarray:
        return np.array(
            [operator_norm(m, sizes[m], RNG.child("operator", i)).value for i, m in enumerate(layers)]
        )

    def theirs() -> np.ndarray:
        torch.set_default_dtype(torch.float64)
        try:
            return np.array([peers._norm(m, sizes[m][1:], [0]) for m in layers])
        finally:
            torch.set_default_dtype(torch.float32)

    return compared(
        *("operator norms", net.name, "scipy svds"),
        *(Way(ours, len(layers)), Way(theirs, len(layers))),
        lambda a, b: float(np.max(np.abs(a - b) / b)),
        *(1e-5, None, 2),
        note="per convolution",
    )
