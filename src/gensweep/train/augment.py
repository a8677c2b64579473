"""Random crops and flips of a batch of images, where the batch lies."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gensweep.rng import Stream

PAD = 4  # pixels of border that a crop may show, as in Li et al.


def crop_and_flip(
    x: Tensor, black: Tensor, rng: Stream, size: int | None = None, rows: np.ndarray | slice = slice(None)
) -> Tensor:
    """Each image shifted by up to four pixels each way, and mirrored half of the time.

    Args:
        x: Normalised images (B, channels, H, W).
        black: What a raw 0 became in the normalisation, (1, channels, 1, 1): the colour of the border.
        rng: The step's own stream, so that a step sees the same crops wherever it runs.
        size: Images of the whole batch that these are part of; by default these are all.
        rows: Which of them these are.

    Error: Exact; pixels are moved, never mixed.

    Source: He et al. 2016 (1512.03385), §4.2.
    """
    draws = rng.integers(2 * (2 * PAD + 1) ** 2, len(x) if size is None else size)[rows]
    shift, flip = divmod(draws, 2)
    down, right = divmod(shift, 2 * PAD + 1)
    return cropped(x, black, *(torch.from_numpy(v).to(x.device) for v in (down, right, flip)))


def cropped(x: Tensor, black: Tensor, down_B: Tensor, right_B: Tensor, flip_B: Tensor) -> Tensor:
    """The crop of each image whose corner stands at (down, right) of the padded image, mirrored where asked.

    Args:
        x: Images (B, channels, H, W).
        black: The colour of the border, (1, channels, 1, 1).
        down_B: 0 … 2·PAD; PAD leaves the image where it is.
        right_B: The same to the right.
        flip_B: 1 mirrors left and right.
    """
    height, width = x.shape[2:]
    padded = F.pad(x - black, (PAD, PAD, PAD, PAD)) + black
    rows_BH = down_B[:, None] + torch.arange(height, device=x.device)
    across = torch.arange(width, device=x.device)
    columns_BW = right_B[:, None] + torch.where(flip_B[:, None] == 1, width - 1 - across, across)
    image = torch.arange(len(x), device=x.device)[:, None, None, None]
    channel = torch.arange(x.shape[1], device=x.device)[:, None, None]
    return padded[image, channel, rows_BH[:, None, :, None], columns_BW[:, None, None, :]]
