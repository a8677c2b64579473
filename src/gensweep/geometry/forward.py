"""Forward passes of one network with parameters from outside; nothing of it is written to."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from gensweep.geometry.solution import Layout

Buffers = dict[str, Any]  # name → what stands in for a buffer: a tensor, or None for there being none


class Forward:
    """Outputs of a network, (B, C), as a function of its parameters.

    Args:
        model: In eval mode; its own parameters are not read.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model, self.layout = model, Layout.of(model)

    def __call__(self, theta_P: Tensor, x: Tensor, buffers: Buffers | None = None) -> Tensor:
        """The outputs for a batch; ``buffers`` stand in for the network's own, see `batch_norm`."""
        return functional_call(self.model, {**self.layout.unpack(theta_P), **(buffers or {})}, (x,))
