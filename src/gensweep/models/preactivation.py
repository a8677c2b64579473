"""The pre-activation residual network of the poison runs on SVHN."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Unit(nn.Module):
    """Batch norm, leaky ReLU and convolution, twice, beside a shortcut without weights.

    Where the unit halves the image, the shortcut is an average pool, and zeros stand in for the channels
    that come in addition, half of them on either side.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Of the first convolution.
        first: Whether the shortcut starts behind the first activation, as in the network's first unit.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool) -> None:
        super().__init__()
        self.start = nn.Sequential(_norm(inputs), nn.LeakyReLU(0.1))
        self.body = nn.Sequential(
            _conv(inputs, outputs, stride), _norm(outputs), nn.LeakyReLU(0.1), _conv(outputs, outputs, 1)
        )
        self.first, self.more, self.pool = first, (outputs - inputs) // 2, nn.AvgPool2d(stride)

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (B, outputs, …) of feature maps (B, inputs, …)."""
        active = self.start(x)
        around = active if self.first else x
        if self.more:
            around = F.pad(self.pool(around), (0, 0, 0, 0, self.more, self.more))
        return self.body(active) + around


class PreActivationResNet(nn.Module):
    """A 3×3 convolution, three stages of three units with 16, 32 and 64 channels, average pool, linear.

    Args:
        input_shape: (channels, height, width).
        num_classes: Number of logits C.

    Convolutions start normal with variance 2/fan-out. Batch norm has ε = 1e-3 and forgets 0.1 a step.

    Source: Huang et al. 2019 (1906.03291) by their released code, the TensorFlow tutorial's ResNet.

    >>> sum(p.numel() for p in PreActivationResNet((3, 32, 32), 10).parameters())
    269722
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int) -> None:
        super().__init__()
        units, inputs = [], 16
        for stage, outputs in enumerate((16, 32, 64)):
            for place in range(3):
                halves = stage > 0 and place == 0
                units.append(Unit(inputs, outputs, 2 if halves else 1, first=stage == place == 0))
                inputs = outputs
        self.features = nn.Sequential(
            _conv(input_shape[0], 16, 1),
            *units,
            _norm(64),
            nn.LeakyReLU(0.1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.classifier = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of a batch (B, channels, height, width)."""
        return self.classifier(self.features(x))


def _norm(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)


def _conv(inputs: int, outputs: int, stride: int) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
