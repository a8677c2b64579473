"""The networks of Keskar et al.: F1 on MNIST, C1 and C2 on CIFAR-10, C3 and C4 the same two on CIFAR-100."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor, nn


class Keskar(nn.Module):
    """A chain of layers that starts with Glorot's uniform weights and biases at 0, as Keras does."""

    def __init__(self, layers: Iterator[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of a batch (B, …)."""
        return self.layers(x)


class F1(Keskar):
    """Five hidden layers of 512 units, each with batch norm and ReLU.

    Args:
        input_shape: Shape of one example.
        num_classes: Number of logits C.
        width: Units of a hidden layer; 512 in the paper.

    Source: Keskar et al. 2017 (1609.04836), appendix B.

    >>> sum(p.numel() for p in F1((1, 28, 28), 10).parameters())
    1462794
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, width: int = 512) -> None:
        widths = [math.prod(input_shape), *[width] * 5]
        layers = (m for a, b in pairwise(widths) for m in _dense(a, b, 0.0))
        super().__init__(iter([nn.Flatten(), *layers, nn.Linear(width, num_classes)]))


class C1(Keskar):
    """Two 5×5 convolutions of 64 channels, each with batch norm, ReLU and a 3×3 pool of stride 2; 384; 192.

    Args:
        input_shape: (channels, height, width).
        num_classes: Number of logits C: 10 for C1, 100 for C3.
        dropout: Probability of dropping a unit of a hidden layer; 0.5 in the paper.
        width: Channels of a convolution, a sixth and a third of the hidden units; 64 in the paper.

    Source: Keskar et al. 2017 (1609.04836), appendix B, and their released Keras code.

    >>> sum(p.numel() for p in C1((3, 32, 32), 10).parameters())
    1757834
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, dropout: float = 0.5, width: int = 64
    ) -> None:
        channels, *size = input_shape
        pixels = math.prod(math.ceil(math.ceil(side / 2) / 2) for side in size)
        super().__init__(
            iter(
                [
                    *_conv(channels, width, 5),
                    nn.MaxPool2d(3, 2, ceil_mode=True),
                    *_conv(width, width, 5),
                    nn.MaxPool2d(3, 2, ceil_mode=True),
                    nn.Flatten(),
                    *_dense(width * pixels, 6 * width, dropout),
                    *_dense(6 * width, 3 * width, dropout),
                    nn.Linear(3 * width, num_classes),
                ]
            )
        )


class C2(Keskar):
    """Thirteen 3×3 convolutions with batch norm and ReLU in five blocks with pools; 512.

    Args:
        input_shape: (channels, height, width), 32 pixels or more each way.
        num_classes: Number of logits C: 10 for C2, 100 for C4.
        with_dropout: Whether units are dropped as in the paper: 30 % between the convolutions of the first
            block, 40 % in the others, half before and behind the hidden layer.

    Source: Keskar et al. 2017 (1609.04836), appendix B, and their released Keras code.

    >>> sum(p.numel() for p in C2((3, 32, 32), 10).parameters())
    14991946
    """

    BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self, input_shape: Sequence[int], num_classes: int, with_dropout: bool = True) -> None:
        channels, *size = input_shape
        half = [nn.Dropout(0.5)] if with_dropout else []
        units = 512 * math.prod(side // 2 ** len(self.BLOCKS) for side in size)
        dense = [nn.Flatten(), *half, *_dense(units, 512, 0.5 * with_dropout), nn.Linear(512, num_classes)]
        super().__init__(iter([*self._convolutions(channels, with_dropout), *dense]))

    def _convolutions(self, inputs: int, with_dropout: bool) -> Iterator[nn.Module]:
        for number, block in enumerate(self.BLOCKS):
            for place, outputs in enumerate(block):
                yield from _conv(inputs, outputs, 3)
                if with_dropout and place + 1 < len(block):
                    yield nn.Dropout(0.3 if number == 0 else 0.4)
                inputs = outputs
            yield nn.MaxPool2d(2)


def _conv(inputs: int, outputs: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, side, padding=side // 2), nn.BatchNorm2d(outputs), nn.ReLU()]


def _dense(inputs: int, outputs: int, dropout: float) -> list[nn.Module]:
    layers = [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return [*layers, nn.Dropout(dropout)] if dropout else layers
