"""Walks from a minimum outwards, many at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gensweep.blocks import remembered
from gensweep.geometry.combinations import Combinations
from gensweep.geometry.ellipsoid import Ellipsoid
from gensweep.geometry.metric import Metric
from gensweep.geometry.radius import Crossings, first_crossings, joined
from gensweep.geometry.risk import Risk, SmoothLoss
from gensweep.rng import Stream

BLOCK = 2**26  # scalars of directions held at a time, or of what the loss keeps of them


@dataclass(frozen=True)
class Rays:
    """Rays from one point to the same levels.

    Args:
        loss: Any loss.
        theta_P: Where they begin.
        metric: The unit of length.
        base: The loss there, nats.
        levels_C: Heights to cross, nats, ascending, above ``base``.
        scan_S: Radii of the scan, in the metric's unit.
        rtol: Width of the final bracket relative to the radius.
        count: Number of rays K.
        rng: Ray k has a stream of its own, so that more rays leave the first ones alone.
    """

    loss: SmoothLoss
    theta_P: Tensor
    metric: Metric
    base: float
    levels_C: np.ndarray
    scan_S: np.ndarray
    rtol: float
    count: int
    rng: Stream

    def uniform(self) -> Crossings:
        """The crossings along directions uniform in the metric."""
        return self._walk(lambda k: self.metric.direction(self.rng.child(k)))

    def stretched(self, shape: Ellipsoid) -> tuple[Crossings, np.ndarray]:
        """The crossings along P u for the same uniform directions u, and ln ‖P u‖, (K,).

        Radii are lengths in the metric, as those of `uniform`: the scan and its end mean the same.
        """
        log_length_K = np.empty(self.count)

        def step(k: int) -> Tensor:
            z_N = shape @ self.metric.draw(self.rng.child(k))
            log_length_K[k] = z_N.norm().log().item()
            return self.metric.step(z_N / z_N.norm()).to(self.theta_P)

        return self._walk(step), log_length_K

    def _walk(self, step: Callable[[int], Tensor]) -> Crossings:
        """In blocks whose directions fit into memory, with what the loss keeps of them."""
        held = self.loss.held if isinstance(self.loss, Risk) else 0
        block = max(1, BLOCK // max(len(self.theta_P), held))
        parts = []
        for first in range(0, self.count, block):
            rays = range(first, min(first + block, self.count))
            vectors_JP = torch.stack([self.theta_P, *(step(k) for k in rays)])

            def losses(radius_M: np.ndarray, ray_M: np.ndarray, vectors_JP: Tensor) -> list[float]:
                c_M2 = torch.from_numpy(np.stack([np.ones(len(radius_M)), radius_M], 1))
                which_M2 = torch.from_numpy(np.stack([np.zeros(len(ray_M), np.int64), 1 + ray_M], 1))
                return self.loss.many(Combinations(vectors_JP, c_M2, which_M2)).tolist()

            def profile(
                radius_M: np.ndarray, ray_M: np.ndarray, vectors_JP: Tensor = vectors_JP
            ) -> np.ndarray:
                return np.array(remembered(losses, radius_M, ray_M, vectors_JP))

            parts.append(
                first_crossings(profile, len(rays), self.base, self.levels_C, self.scan_S, self.rtol)
            )
        return joined(parts)
