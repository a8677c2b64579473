"""What somebody gave, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor


def described(value: Any) -> str:
    """What somebody gave, in a few words."""
    if isinstance(value, Tensor | np.ndarray):
        kind = str(value.dtype).removeprefix("torch.")
        return f"{kind} of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def said(error: BaseException) -> str:
    """Another's error as the end of a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
