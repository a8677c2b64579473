"""Two intertwined noisy spiral arms in the plane, and the mirrored twins of the original."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensweep.data.base import Available, Source
from gensweep.errors import InputError
from gensweep.rng import Stream

TURN = np.deg2rad(600.0)  # an arm ends at 10.47 rad


@dataclass(frozen=True)
class Swissroll:
    """Points of two spiral arms, a class each, float32 (N, 2).

    Class 0 is (−1.5 t cos t, 1.5 t sin t) plus Gaussian noise on each coordinate, with t = √U · 600° and
    U uniform in [0, 1); class 1 is the same turned by 180°.

    Args:
        name: What the data set is called in tables.
        points_per_class: Points of each class to draw train, confusion and poison sets from, ≥ 1.
        test_points_per_class: Points of each class in the test split, ≥ 1.
        extra_points_per_class: Fresh points of each class to draw the poison set from; with 0 the poison
            set comes from the pool.
        noise: Standard deviation of the noise, in units of the coordinates, ≥ 0.
        mirror: True repeats the original experiment: class 1 is class 0 negated, noise included, and the
            points are shuffled before they are split, so that train and test hold mirrored twins of each
            other and the classes balance over both only together. False draws every point on its own.

    Error: Exact draws; sines and cosines are those of NumPy on the machine.

    Source: Huang et al., Understanding Generalization through Visualizations, 2020, and its code. There
        200 training and 200 test points, ``mirror=True``, and 200 fresh poison points per epoch.

    >>> Swissroll().pool(Path("."))
    Available(pool=200, extra=200)
    """

    name: str = "swissroll"
    points_per_class: int = 100
    test_points_per_class: int = 100
    extra_points_per_class: int = 100
    noise: float = 0.5
    mirror: bool = False

    def __post_init__(self) -> None:
        for setting, least in (
            ("points_per_class", 1),
            ("test_points_per_class", 1),
            ("extra_points_per_class", 0),
            ("noise", 0),
        ):
            value = getattr(self, setting)
            if not (value >= least and np.isfinite(value)):
                raise InputError(
                    f"data.{setting}={value} is out of range; give a number of at least {least}."
                )

    def pool(self, data_dir: Path) -> Available:
        """Both classes together; ``data_dir`` plays no part."""
        return Available(2 * self.points_per_class, 2 * self.extra_points_per_class or None)

    def load(self, data_dir: Path, rng: Stream) -> Source:
        """Points drawn from ``rng``; those of one split stay when the number of another changes.

        With ``mirror=True`` pool and test are one shuffled draw, so there they change together.
        """
        rng = rng.child("swissroll")
        (train_x, train_y), (test_x, test_y) = self._twins(rng) if self.mirror else self._independent(rng)
        extra_x, extra_y = self._points(rng.child("poison"), self.extra_points_per_class)
        has_extra = self.extra_points_per_class > 0
        return Source(
            train_x=train_x,
            train_y=train_y,
            test_x=test_x,
            test_y=test_y,
            num_classes=2,
            mean=np.zeros(1),
            std=np.ones(1),
            extra_x=extra_x if has_extra else None,
            extra_y=extra_y if has_extra else None,
        )

    def _independent(self, rng: Stream) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Pool and test points, each from a stream of its own."""
        return (
            self._points(rng.child("train"), self.points_per_class),
            self._points(rng.child("test"), self.test_points_per_class),
        )

    def _twins(self, rng: Stream) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
        """Pool and test points as the original makes them: one draw, shuffled, then cut."""
        x, y = self._points(rng.child("train"), self.points_per_class + self.test_points_per_class)
        order = rng.child("split").permutation(len(y))
        pool, test = np.split(order, [2 * self.points_per_class])
        return (x[pool], y[pool]), (x[test], y[test])

    def _points(self, rng: Stream, n: int) -> tuple[np.ndarray, np.ndarray]:
        """``n`` points of each class, class 0 first."""
        zero = self._arm(rng.child(0), n)
        one = -zero if self.mirror else -self._arm(rng.child(1), n)
        return np.concatenate([zero, one]), np.repeat(np.arange(2), n)

    def _arm(self, rng: Stream, n: int) -> np.ndarray:
        """``n`` noisy points of class 0, float32 (n, 2)."""
        t = np.sqrt(rng.child("angle").uniform(n)) * TURN
        curve = 1.5 * t[:, None] * np.stack([-np.cos(t), np.sin(t)], axis=1)
        return (curve + self.noise * rng.child("noise").normal(2 * n).reshape(n, 2)).astype(np.float32)
