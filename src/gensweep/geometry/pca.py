"""Few points in many dimensions: their distances and principal components, from inner products alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BLOCK = 1 << 20  # parameters that are turned to float64 at a time


class Components(NamedTuple):
    """Points in the axes of their largest spread.

    Args:
        coordinates_TM: Of each point along each of the M = T − 1 axes, from the last point on.
        explained_M: What each axis carries of the variance about the mean, the largest first.
    """

    coordinates_TM: np.ndarray
    explained_M: np.ndarray


def inner_products(path_TP: Tensor) -> np.ndarray:
    """(θᵢ − θ_T)·(θⱼ − θ_T) for each pair of points, float64 (T, T).

    Args:
        path_TP: The points. The last one is the origin, so that points near it keep their digits.
    """
    gram_TT = torch.zeros(len(path_TP), len(path_TP), dtype=torch.float64, device=path_TP.device)
    for block in path_TP.split(BLOCK, dim=1):
        steps = block.double() - block[-1].double()
        gram_TT += steps @ steps.T
    return gram_TT.cpu().numpy()


def distances(gram_TT: np.ndarray) -> np.ndarray:
    """‖θᵢ − θⱼ‖ from inner products, (T, T).

    Error: Exact, up to rounding; two equal points can come out 1e-8 of their distance to the origin apart.
    """
    squares = np.diag(gram_TT)
    return np.sqrt(np.maximum(squares[:, None] + squares - 2 * gram_TT, 0.0))


def components(gram_TT: np.ndarray) -> Components:
    """Principal components of T points, not all of them one, from their inner products.

    The axes are those of the spread about the mean; the coordinates begin at the last point, and the
    largest of each axis is positive.

    Error: Exact, up to rounding. Where two axes explain equally much, their directions are arbitrary.

    Source: Li et al. 2018 (1712.09913), §7.
    """
    centred = gram_TT - gram_TT.mean(0) - gram_TT.mean(1, keepdims=True) + gram_TT.mean()
    squares, vectors = np.linalg.eigh(centred)
    # T centred points span T − 1 dimensions; the eigenvalue left over is 0, and what it has is rounding.
    squares_M = np.maximum(squares[:0:-1], 0.0)
    about_mean_TM = vectors[:, :0:-1] * np.sqrt(squares_M)
    coordinates_TM = about_mean_TM - about_mean_TM[-1]
    largest_M = coordinates_TM[np.abs(coordinates_TM).argmax(0), np.arange(len(squares_M))]
    turned_TM = coordinates_TM * np.where(largest_M < 0, -1.0, 1.0) + 0.0  # −0 is 0
    return Components(turned_TM, squares_M / squares_M.sum())
