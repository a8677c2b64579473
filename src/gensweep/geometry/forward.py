"""Forward passes of one network with parameters from outside; nothing of it is written to."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

from gensweep.geometry.quick import Quick, quick
from gensweep.geometry.solution import Layout

Buffers = dict[str, Any]  # name → what stands in for a buffer: a tensor, or None for there being none


class Forward:
    """Outputs of a network, (B, C), as a function of its parameters.

    Args:
        model: In eval mode; its own parameters are not read.
        theta_P: Parameters to try it with.
        x: Examples to try it with.
    """

    def __init__(self, model: nn.Module, theta_P: Tensor, x: Tensor) -> None:
        self.model, self.layout, self.theta_P, self.x = model, Layout.of(model), theta_P, x

    def __call__(self, theta_P: Tensor, x: Tensor, buffers: Buffers | None = None) -> Tensor:
        """The outputs for a batch; ``buffers`` stand in for the network's own, see `batch_norm`."""
        return functional_call(self.model, {**self.layout.unpack(theta_P), **(buffers or {})}, (x,))

    @cached_property
    def _quick(self) -> Quick | None:
        return quick(self.model, partial(self, self.theta_P), self.layout.unpack(self.theta_P), self.x)

    def at(self, theta_P: Tensor, buffers: Buffers) -> Callable[[Tensor], Tensor]:
        """The same as a function of the batch, prepared for several and quick; rounding is another."""
        if self._quick is None:
            return partial(self, theta_P, buffers=buffers)
        return self._quick.at({**self.layout.unpack(theta_P), **buffers})
