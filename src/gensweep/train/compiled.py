"""The forward pass of training, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gensweep.errors import InputError

# Dropout draws what it draws without compiling.
OPTIONS: dict[str, Any] = {"options": {"fallback_random": True}}


def compiled(model: nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The network as a compiled function of its inputs; the module itself, its names and its state stay.

    Args:
        model: Whose forward pass it is; compiled when it is first called, which takes a minute or two.
        device: Where it computes.

    Raises:
        InputError: PyTorch cannot compile here, as where there is no C++ compiler.
    """
    try:
        torch.compile(torch.sin, **OPTIONS)(torch.zeros(2, device=device))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"hardware.compile=true: PyTorch cannot compile here ({reason}); install a C++ compiler, "
            "or leave hardware.compile=false"
        ) from None
    return torch.compile(model.forward, **OPTIONS)
