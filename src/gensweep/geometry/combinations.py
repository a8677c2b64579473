"""Points of weight space that are linear combinations of a few vectors, and know it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Combinations:
    """The points θₖ = Σₜ c[k,t]·v[which[k,t]], (P,) each; iterating makes them one after the other.

    A loss that is linear in the parameters at first works out that part once per vector, not per point.

    Args:
        vectors_JP: The vectors v; the same tensor in several calls says that they are the same.
        c_KT: Coefficients of T vectors per point, float64.
        which_KT: Which vectors these are.
    """

    vectors_JP: Tensor
    c_KT: Tensor
    which_KT: Tensor

    @classmethod
    def of_all(cls, vectors_JP: Tensor, c_KJ: Sequence[Sequence[float]]) -> Combinations:
        """Points to which every vector contributes."""
        c_KT = torch.tensor(c_KJ, dtype=torch.float64).view(-1, len(vectors_JP))
        return cls(vectors_JP, c_KT, torch.arange(len(vectors_JP)).expand(c_KT.shape))

    def __len__(self) -> int:
        """Number of points K."""
        return len(self.c_KT)

    def __getitem__(self, part: slice) -> Combinations:
        """Some of the points."""
        return Combinations(self.vectors_JP, self.c_KT[part], self.which_KT[part])

    def __iter__(self) -> Iterator[Tensor]:
        """The points, from left to right: each product and each sum is rounded to the type of the vectors."""
        for c_T, which_T in zip(self.c_KT.tolist(), self.which_KT.tolist(), strict=True):
            terms = (c * self.vectors_JP[j] for c, j in zip(c_T, which_T, strict=True))
            yield functools.reduce(operator.add, terms)

    def of(self, parts: Tensor) -> Tensor:
        """The same sums of other things, (K, …), one of which stands for each vector, (J, …)."""
        if self.which_KT.stride(0) == 0:  # all vectors, see `of_all`
            return (self.c_KT.to(parts) @ parts.flatten(1)).unflatten(1, parts.shape[1:])
        total = parts.new_empty(len(self), *parts.shape[1:])
        # Point by point: gathering the vectors first would move twice the memory.
        for sums, c_T, which_T in zip(total, self.c_KT.tolist(), self.which_KT.tolist(), strict=True):
            torch.mul(parts[which_T[0]], c_T[0], out=sums)
            for c, j in zip(c_T[1:], which_T[1:], strict=True):
                sums.add_(parts[j], alpha=c)
        return total
