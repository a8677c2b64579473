"""A small convolutional network, for images that a laptop can take."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class CNN(nn.Module):
    """Two 3×3 convolutions with batch norm and ReLU, a 2×2 max-pool between them, average pool, linear.

    Args:
        input_shape: (channels, height, width), at least 2 pixels each way.
        num_classes: Number of logits C.
        width: Channels of the first convolution, ≥ 1; the second has twice as many.

    >>> sum(p.numel() for p in CNN((1, 8, 8), 10, width=16).parameters())
    5178
    """

    def __init__(self, input_shape: Sequence[int], num_classes: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(input_shape[0], width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(2 * width, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of a batch (B, channels, height, width)."""
        return self.layers(x)
