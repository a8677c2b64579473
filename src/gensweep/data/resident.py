"""Examples as tensors on the device where they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from gensweep.data.base import Data, Split


def resident(split: Split, data: Data, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Normalised inputs (N, …) and labels (N,) of a split, on the device.

    Data without constants are not normalised: numbers change their type alone, and what is no floating
    point, such as the indices of tokens, stays as it is.
    """
    x, y = torch.from_numpy(split.x).to(device), torch.from_numpy(split.y).to(device)
    if data.mean is None or data.std is None:
        return (x.to(dtype) if x.is_floating_point() else x), y
    mean, std = normaliser(data, device, dtype)
    x = x.to(dtype) if x.is_floating_point() else x  # bytes take their type from the mean, without a copy
    return (x - mean).div_(std), y


def normaliser(data: Data, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, shaped to broadcast over a batch of raw inputs; 0 and 1 without any."""
    shape = (1, -1) + (1,) * (len(data.input_shape) - 1)
    pair = (0.0 if data.mean is None else data.mean, 1.0 if data.std is None else data.std)
    mean, std = (torch.tensor(c, dtype=dtype, device=device).reshape(shape) for c in pair)
    return mean, std
