"""VGG networks for small images: blocks of 3×3 convolutions, each ended by a pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class VGG(nn.Module):
    """Convolutions with ReLU in blocks that end with a max-pool, then hidden layers, then logits.

    The pool of a block halves each side; that of the last one is ``last_pool`` wide.

    Args:
        input_shape: (channels, height, width).
        num_classes: Number of logits C.
        blocks: Channels of each convolution, block by block.
        hidden: Units of each hidden layer.
        conv_norm: Whether a batch norm follows each convolution.
        hidden_norm: Whether a batch norm follows each hidden layer.
        dropout: Probability of dropping a unit, after each pool and each hidden layer.
        last_pool: Side of the last pool, in pixels.
        he: True starts convolutions as He et al. 2015 (normal, fan-in) and linear layers with
            N(0, 1e-3²), as Li et al. did; false leaves both to PyTorch.

    Source: Simonyan & Zisserman 2015 (1409.1556); the variants of Li et al. 2018 (1712.09913) and of
    Neyshabur et al. 2018 (1805.12076), by their released code.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        blocks: Sequence[Sequence[int]],
        hidden: Sequence[int],
        conv_norm: bool,
        hidden_norm: bool,
        dropout: float = 0.0,
        last_pool: int = 2,
        he: bool = False,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(*_features(input_shape[0], blocks, conv_norm, dropout, last_pool))
        with torch.no_grad():
            size = self.features.eval()(torch.zeros(1, *input_shape)).numel()
        self.features.train()
        widths = [size, *hidden]
        layers = [m for a, b in pairwise(widths) for m in _hidden(a, b, hidden_norm, dropout)]
        self.classifier = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))
        if he:
            self.apply(_as_li)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of a batch (B, channels, height, width)."""
        return self.classifier(self.features(x))


def _features(
    inputs: int, blocks: Sequence[Sequence[int]], norm: bool, dropout: float, last_pool: int
) -> Iterator[nn.Module]:
    for number, block in enumerate(blocks, 1):
        for outputs in block:
            yield nn.Conv2d(inputs, outputs, 3, padding=1)
            if norm:
                yield nn.BatchNorm2d(outputs)
            yield nn.ReLU()
            inputs = outputs
        yield nn.MaxPool2d(last_pool if number == len(blocks) else 2)
        yield from _dropped(dropout)
    yield nn.Flatten()


def _hidden(inputs: int, outputs: int, norm: bool, dropout: float) -> Iterator[nn.Module]:
    yield nn.Linear(inputs, outputs)
    if norm:
        yield nn.BatchNorm1d(outputs)
    yield nn.ReLU()
    yield from _dropped(dropout)


def _dropped(probability: float) -> list[nn.Module]:
    return [nn.Dropout(probability)] if probability else []


def _as_li(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=1e-3)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
