"""Examples as tensors on the device where they are used."""

from __future__ import annotations

import torch
from torch import Tensor

from gensweep.data.base import Data, Split


def normaliser(data: Data, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, shaped to broadcast over a batch of raw inputs."""
    shape = (1, -1) + (1,) * (len(data.input_shape) - 1)
    mean = torch.tensor(data.mean, dtype=dtype, device=device).reshape(shape)
    return mean, torch.tensor(data.std, dtype=dtype, device=device).reshape(shape)


def resident(split: Split, data: Data, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Normalised inputs (N, …) and labels (N,) of a split, on the device."""
    mean, std = normaliser(data, device, dtype)
    x = torch.from_numpy(split.x).to(device).to(dtype)
    return (x - mean) / std, torch.from_numpy(split.y).to(device)
