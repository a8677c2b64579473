"""Where training went, in two dimensions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.errors import InputError
from gensweep.geometry.pca import Components, components, distances, inner_products
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

NAMES = ("pca_1", "pca_2", "explained", "tsne_1", "tsne_2", "distance")


@dataclass(frozen=True)
class Trajectory:
    """The points that training passed, seen from the last one, θ*.

    Yields for each point, ``index`` 0 … T−1, its principal components ``pca_1`` and ``pca_2`` and its place
    in a t-SNE map, ``tsne_1`` and ``tsne_2``; for each pair i < j the ``distance`` ‖θᵢ − θⱼ‖ at ``index`` i
    and ``x`` j; for each component, ``index`` 1 … T−1, the fraction of variance about the mean that it has
    ``explained``. A run that kept no other points has θ₀ and θ*. The ``ends`` follow the path: their
    ``index`` is T, T+1, …, and they have coordinates and distances like its points.

    Args:
        perplexity: Of t-SNE, about the number of neighbours that a point has; below T. The source tried
            5, 30, 50 and 100, and shows 30.
        path: In `gensweep.measure`, the models that training passed before this one; empty takes what the
            run has kept.
        ends: Further points, such as minima that branch off the path: in `gensweep.measure` models, in a
            sweep the runs that a reference stands for.

    Cost: No forward pass; T²·P multiplications, then about 1000·T² for t-SNE.

    Error: PCA and distances are exact, up to rounding. t-SNE begins at the PCA and stops at one of many
    minima.

    Invariance: Turning or shifting the parameter space leaves all but the signs of PCA, which are fixed by
    the largest coordinate, and rounding. Rescaling layers does not.

    Trust: t-SNE keeps neighbourhoods and invents the distances between them: read the ``distance`` rows
    beside it. PCA of a random walk is a smooth curve too; ``explained`` says how much of the path is in view.

    Source: Li et al. 2018 (1712.09913), §7 for PCA; Huang et al. 2019 (1906.03291), figure 1 for t-SNE.

    Example: ``Trajectory(perplexity=5, path=earlier)``
    """

    perplexity: float = 30.0
    path: Sequence[Solution] = ()
    ends: Sequence[Solution] = ()

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        path_TP = self.points(solution)
        if path_TP is None:
            yield from (not_applicable(name, "only the end of the training is known") for name in NAMES)
            return
        # θ*, the origin, stays the last point; the ends stand before the path until they are told.
        gram_TT = inner_products(torch.cat([*(e.theta_P.to(path_TP)[None] for e in self.ends), path_TP]))
        if not np.isfinite(gram_TT).all():
            lost: dict[str, Any] = {"status": "nonfinite", "reason": "a point of the path is not finite"}
            yield from (Row(name, math.nan, math.nan, **lost) for name in NAMES)
            return
        after = -len(self.ends)
        yield from pairs(np.roll(distances(gram_TT), (after, after), (0, 1)))
        if not gram_TT.any():
            yield from (not_applicable(name, "all points of the path are one") for name in NAMES[:-1])
            return
        found = components(gram_TT)
        found = found._replace(coordinates_TM=np.roll(found.coordinates_TM, after, 0))
        yield from principal(found)
        yield from self.neighbours(found, rng)

    def points(self, solution: Solution) -> Tensor | None:
        """The path, (T, P), as far as it is known.

        Raises:
            InputError: A point of it, or an end, belongs to another architecture.
        """
        for name, points in (("path", self.path), ("ends", self.ends)):
            if any(point.layout != solution.layout for point in points):
                raise InputError(
                    f"Trajectory({name}=…) has a point of another architecture; all must be of one kind"
                )
        if self.path:
            return torch.stack([*(p.theta_P.to(solution.theta_P) for p in self.path), solution.theta_P])
        if solution.path_TP is None and solution.init_P is not None:
            return torch.stack([solution.init_P, solution.theta_P])
        return solution.path_TP

    def neighbours(self, found: Components, rng: Stream) -> Iterator[Row]:
        """The t-SNE map; all principal components together hold all distances, in fewer dimensions."""
        count = len(found.coordinates_TM)
        least = max(self.perplexity, 2)
        if count <= least:
            reason = (
                f"t-SNE with perplexity {self.perplexity:g} needs more than {least:g} points, not {count}"
            )
            yield from (not_applicable(name, reason) for name in ("tsne_1", "tsne_2"))
            return
        from sklearn.manifold import TSNE  # a second of imports that other measures need not wait for

        seed = rng.child("tsne").word() % 2**32
        tsne = TSNE(perplexity=self.perplexity, method="exact", init="pca", random_state=seed)
        yield from places("tsne", tsne.fit_transform(found.coordinates_TM))


def pairs(distances_TT: np.ndarray) -> Iterator[Row]:
    """The distance of each pair of points."""
    for i, j in zip(*np.triu_indices(len(distances_TT), 1), strict=True):
        yield Row("distance", distances_TT[i, j].item(), index=int(i), x=float(j))


def principal(found: Components) -> Iterator[Row]:
    """Coordinates along the first two components, and what every component explains."""
    missing = np.zeros((len(found.coordinates_TM), 2))  # two points are on a line
    yield from places("pca", np.hstack([found.coordinates_TM, missing])[:, :2])
    for k, fraction in enumerate(found.explained_M.tolist(), 1):
        yield Row("explained", fraction, index=k)


def places(name: str, coordinates_T2: np.ndarray) -> Iterator[Row]:
    """One point after the other, two coordinates each."""
    for i, place in enumerate(coordinates_T2.tolist()):
        for axis, value in enumerate(place, 1):
            yield Row(f"{name}_{axis}", value, index=i)
