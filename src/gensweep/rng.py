"""Named random streams: equal (seed, names), equal numbers, on every machine.

A stream is a place in a tree of names under one seed. Asking for more at one
place moves nothing at another, so adding a measure leaves the training alone
and more rays leave the first ones as they were.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stream:
    """Random numbers that belong to one seed and one path of names.

    Args:
        seed: The run's seed, ≥ 0. Seed 0 is a seed like any other.
        path: Names from the root to here.

    Error: Exact. Permutations, choices and integers come from the raw 64-bit words of
    Philox, which NumPy guarantees for all versions and platforms.

    >>> Stream(0).child("train").permutation(5).tolist()
    [4, 2, 3, 1, 0]
    >>> Stream(0).child("train") == Stream(0, ("train",))
    True
    """

    seed: int
    path: tuple[str | int, ...] = ()

    def child(self, *names: str | int) -> Stream:
        """The stream further down at ``names``."""
        return Stream(self.seed, self.path + names)

    def generator(self) -> np.random.Generator:
        """A NumPy generator that starts at the beginning of this stream."""
        digest = hashlib.sha256(json.dumps([self.seed, *self.path]).encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))

    def raw(self, n: int) -> np.ndarray:
        """``n`` words of 64 random bits, uint64 of shape (n,)."""
        return self.generator().bit_generator.random_raw(n)

    def permutation(self, n: int) -> np.ndarray:
        """A random order of 0…n−1, int64 of shape (n,)."""
        return np.argsort(self.raw(n), kind="stable")

    def integers(self, high: int, n: int) -> np.ndarray:
        """``n`` integers uniform in [0, high), int64; the bias of the remainder is below high / 2⁶⁴."""
        return (self.raw(n) % np.uint64(high)).astype(np.int64)

    def normal(self, n: int) -> np.ndarray:
        """``n`` standard normal float32 numbers, shape (n,)."""
        return self.generator().standard_normal(n, dtype=np.float32)

    def uniform(self, n: int) -> np.ndarray:
        """``n`` float64 numbers uniform in [0, 1), multiples of 2⁻⁵³, shape (n,)."""
        return (self.raw(n) >> np.uint64(11)) * 2.0**-53

    def word(self) -> int:
        """One integer in [0, 2⁶³), to seed a foreign generator."""
        return int(self.raw(1)[0] >> np.uint64(1))
