"""Residual networks for small images, with and without their shortcuts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Block(nn.Module):
    """Two 3×3 convolutions with batch norm, and a shortcut around them that is added before the last ReLU.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Of the first convolution.
        shortcut: False leaves it out, projection included.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = _shortcut(inputs, outputs, stride) if shortcut else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (B, outputs, …) of feature maps (B, inputs, …)."""
        return self.relu(self.body(x) if self.shortcut is None else self.body(x) + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """A 3×3 convolution, three stages of blocks with 16k, 32k and 64k channels, average pool, linear.

    With ``channels`` c in place of 16 the stages have ck, 2ck and 4ck.

    Args:
        input_shape: (channels, height, width).
        num_classes: Number of logits C.
        depth: Layers with weights, projections apart: 6n + 2 for n ≥ 1 blocks per stage.
        width: k, ≥ 1; the first convolution widens too.
        shortcuts: False for the twin without any.
        channels: Of the first stage at k = 1; 16 in the papers, fewer for a deep net on a small machine.

    Convolutions start as in He et al. 2015 (normal, fan-in), the last layer with N(0, 1e-3²) and no bias.

    Source: He et al. 2016 (1512.03385), §4.2, with 1×1 projections, as in Li et al. 2018 (1712.09913).

    >>> sum(p.numel() for p in ResNet((3, 32, 32), 10, depth=20).parameters())
    272474
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        depth: int,
        width: int = 1,
        shortcuts: bool = True,
        channels: int = 16,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise ValueError(f"depth={depth} is not 6n + 2 for a whole n ≥ 1")
        inputs = first = channels * width
        layers: list[nn.Module] = [
            nn.Conv2d(input_shape[0], first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        ]
        for stage in range(3):
            for block in range(blocks):
                outputs, stride = first * 2**stage, 2 if stage and not block else 1
                layers.append(Block(inputs, outputs, stride, shortcuts))
                inputs = outputs
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(inputs, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=1e-3)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of a batch (B, channels, height, width)."""
        return self.classifier(self.features(x))
