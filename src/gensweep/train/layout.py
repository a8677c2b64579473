"""In which order the numbers of an image lie in memory."""

from __future__ import annotations

import torch
from torch import nn


def memory_format(model: nn.Module) -> torch.memory_format:
    """The order in which a network trains on images fastest: by pixel if it convolves, else row by row.

    Feature maps follow the images; weights stay as they are. Convolutions in float64 are faster by row.
    """
    weights = (parameter for parameter in model.parameters() if parameter.dim() == 4)
    by_pixel = any(weight.dtype == torch.float32 for weight in weights)
    return torch.channels_last if by_pixel else torch.contiguous_format
