"""How many examples a network takes at once when it is only evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOST_BYTES = 4 * 2**20  # of one layer's outputs: what is larger waits for fresh pages at every call
LEAST = 50  # examples, below which calls themselves cost more than what they do


def piece(model: nn.Module, forward: Callable[[Tensor], Any], x: Tensor) -> int:
    """Examples per forward pass: as many as keep the outputs of every layer within 4 MB, and 50 at least.

    More at once would be slower as well as larger, and losses are summed in float64 either way.

    Args:
        model: Its layers are watched for one pass.
        forward: A pass through it, in eval mode.
        x: Examples, two of which are passed: alone, one has no variance.

    >>> piece(layer := nn.Linear(2, 1024), layer, torch.zeros(10, 2))
    1024
    """
    x, sizes = x[:2], [1]

    def note(module: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.nbytes)

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with torch.no_grad():
            forward(x)
    finally:
        for handle in handles:
            handle.remove()
    return max(LEAST, MOST_BYTES * len(x) // max(sizes))
