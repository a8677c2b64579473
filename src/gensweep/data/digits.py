"""The 1,797 handwritten digits that come inside scikit-learn: real data without a download."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensweep.data.base import Available, Source
from gensweep.rng import Stream

POOL = 1300
TEST = 497
MEAN = 4.884165  # of all 1,797 × 64 pixels, in their own units of 0–16
STD = 6.016788


@dataclass(frozen=True)
class Digits:
    """8 × 8 grey digits of ten classes, pixel values 0–16.

    There is no official test split, so a permutation that is the same for every seed and every user
    sends 1,300 digits to the pool and 497 to the test split; accuracies of two runs are of the same images.

    Args:
        name: What the data set is called in tables.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test file),
        as `sklearn.datasets.load_digits` ships it.

    >>> Digits().pool(Path("."))
    Available(pool=1300, extra=None)
    """

    name: str = "digits"

    def pool(self, data_dir: Path) -> Available:
        """1,300 examples to draw from; ``data_dir`` plays no part."""
        return Available(POOL)

    def load(self, data_dir: Path, rng: Stream) -> Source:
        """All digits, uint8 (N, 1, 8, 8); neither ``data_dir`` nor ``rng`` plays a part."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = np.ascontiguousarray(bunch.images[:, None], dtype=np.uint8)
        y = bunch.target.astype(np.int64)
        order = Stream(0, ("digits", "split")).permutation(POOL + TEST)
        pool, test = order[:POOL], order[POOL:]
        return Source(
            train_x=x[pool],
            train_y=y[pool],
            test_x=x[test],
            test_y=y[test],
            num_classes=10,
            mean=np.array([MEAN]),
            std=np.array([STD]),
        )
