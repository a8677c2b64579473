"""Multi-layer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Flatten, then linear layers with ReLU between them.

    Args:
        input_shape: Shape of one example.
        num_classes: Number of logits C.
        widths: Hidden units per layer, ≥ 1 each.
        single_logit: For two classes, one output unit z; the logits are (0, z), so that the
            cross-entropy is that of a sigmoid.

    >>> sum(p.numel() for p in MLP((1, 28, 28), 10, [20]).parameters())
    15910
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, widths: Sequence[int], single_logit: bool = False
    ) -> None:
        super().__init__()
        if single_logit and num_classes != 2:
            raise ValueError(f"single_logit means two classes, not {num_classes}")
        self.single_logit = single_logit
        sizes = [math.prod(input_shape), *widths, 1 if single_logit else num_classes]
        layers: list[nn.Module] = [nn.Flatten()]
        for fan_in, fan_out in pairwise(sizes):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, C) of a batch (B, …)."""
        z = self.layers(x)
        return torch.cat([torch.zeros_like(z), z], 1) if self.single_logit else z
