"""Two clean spirals in the plane: the data of the minefield of bad minima."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensweep.data.base import Available, Source
from gensweep.errors import InputError
from gensweep.rng import Stream

TURN = 3 * np.pi  # one and a half turns


@dataclass(frozen=True)
class Spirals:
    """Points of two spirals, a class each, float32 (N, 2).

    Class 0 is 5 √θ (cos θ, sin θ) over one and a half turns, class 1 the same turned by 180°. All points
    are drawn, shuffled and cut into the pool and two halves of the rest: points for the poison set, and
    the test split.

    Args:
        name: What the data set is called in tables.
        points_per_class: Points of each class in all splits together, ≥ 3.
        train_fraction: Share of all points that goes to the pool, in (0, 1).
        noise: Standard deviation of Gaussian noise on each coordinate, in units of the coordinates, ≥ 0.

    Error: Exact draws; sines and cosines are those of NumPy on the machine. The paper does not say how θ
        is spread; here it is uniform, which spreads the points evenly over the disc's area.

    Source: Huang et al., Understanding Generalization through Visualizations, 2020, Figure 1 and its code:
        400 points, 132 to train on, 134 with flipped labels, 134 for the test.

    >>> Spirals().pool(Path("."))
    Available(pool=132, extra=134)
    """

    name: str = "spirals"
    points_per_class: int = 200
    train_fraction: float = 0.33
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not (self.noise >= 0 and np.isfinite(self.noise)):
            raise InputError(f"data.noise={self.noise} is out of range; give a number of at least 0.")
        if not 0 < self.train_fraction < 1 or min(self._sizes()) < 1:
            raise InputError(
                f"data.points_per_class={self.points_per_class}, data.train_fraction={self.train_fraction} "
                "leave the pool, the poison points or the test split empty; "
                "give at least 3 points per class and a fraction between 0 and 1."
            )

    def pool(self, data_dir: Path) -> Available:
        """Both classes together; ``data_dir`` plays no part."""
        pool, extra, _ = self._sizes()
        return Available(pool, extra)

    def load(self, data_dir: Path, rng: Stream) -> Source:
        """Points drawn from ``rng``."""
        rng = rng.child("spirals")
        n = self.points_per_class
        x = np.concatenate([self._arm(rng.child(0)), -self._arm(rng.child(1))])
        y = np.repeat(np.arange(2), n)
        pool, extra, _ = self._sizes()
        train, poison, test = np.split(rng.child("split").permutation(2 * n), [pool, pool + extra])
        return Source(
            train_x=x[train],
            train_y=y[train],
            test_x=x[test],
            test_y=y[test],
            num_classes=2,
            mean=np.zeros(1),
            std=np.ones(1),
            extra_x=x[poison],
            extra_y=y[poison],
        )

    def _sizes(self) -> tuple[int, int, int]:
        """Numbers of points in the pool, for the poison set, and in the test split."""
        total = 2 * self.points_per_class
        pool = round(total * self.train_fraction)
        extra = (total - pool) // 2
        return pool, extra, total - pool - extra

    def _arm(self, rng: Stream) -> np.ndarray:
        """The points of class 0, float32 (points_per_class, 2)."""
        n = self.points_per_class
        angle = rng.child("angle").uniform(n) * TURN
        curve = 5 * np.sqrt(angle)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return (curve + self.noise * rng.child("noise").normal(2 * n).reshape(n, 2)).astype(np.float32)
