"""An estimator beside a known answer, and what many seeds of it look like."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gensweep.geometry.risk import Product, SmoothLoss
from gensweep.rng import Stream
from gensweep.rows import Row, checked


class Counted:
    """A loss that counts what is asked of it.

    Args:
        loss: Any loss.
    """

    def __init__(self, loss: SmoothLoss) -> None:
        self.loss = loss
        self.losses = self.gradients = self.products = 0

    def __call__(self, theta_P: Tensor) -> float:
        """The loss at one point."""
        self.losses += 1
        return self.loss(theta_P)

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""
        found = self.loss.many(thetas)
        self.losses += len(found)
        return found

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """The loss and its gradient (P,)."""
        self.gradients += 1
        return self.loss.grad(theta_P)

    def hvp(self, theta_P: Tensor) -> Product:
        """The product of the Hessian with any vector."""
        product = self.loss.hvp(theta_P)

        def counted(v_P: Tensor) -> Tensor:
            self.products += 1
            return product(v_P)

        return counted


@dataclass
class Line:
    """One quantity over the seeds.

    Args:
        name: The quantity, with its index or place where there are several.
        judge: What the quantity promises, as a verdict on this line.
        rows: Its row at each seed.
        truths: The right answer at each seed.
    """

    name: str
    judge: Callable[[Line], str]
    rows: list[Row] = field(default_factory=list)
    truths: list[float] = field(default_factory=list)

    @property
    def errors_K(self) -> np.ndarray:
        """Estimate minus truth."""
        return np.array([row.value for row in self.rows]) - np.array(self.truths)

    @property
    def stderrs_K(self) -> np.ndarray:
        """What the rows say of their error."""
        return np.array([row.stderr for row in self.rows])

    @property
    def ok_K(self) -> np.ndarray:
        """Which rows have the status ok."""
        return np.array([row.status == "ok" for row in self.rows])

    @property
    def rounding_K(self) -> np.ndarray:
        """Differences that say nothing."""
        return 1e-9 * np.maximum(1.0, np.abs(self.truths))

    def covered(self, widths: float) -> float:
        """How many of the rows that claim to be ok have the truth within so many standard errors."""
        inside_K = np.abs(self.errors_K) <= widths * self.stderrs_K + self.rounding_K
        return float(inside_K[self.ok_K].mean()) if self.ok_K.any() else math.nan

    @property
    def verdict(self) -> str:
        """The judge's word."""
        return self.judge(self)


class Answer(NamedTuple):
    """A row and the truth beside it.

    Args:
        row: What the measure said.
        truth: What it should have said.
        judge: What it promised.
        note: Set apart from other rows of the same quantity.
    """

    row: Row
    truth: float
    judge: Callable[[Line], str]
    note: str = ""


@dataclass(frozen=True)
class Case:
    """A measure on a problem.

    Args:
        measure: Its name.
        problem: In words, with its size.
        answers: (loss, rng) → its rows at one seed with the truth beside each; ``loss`` counts.
        loss: Put where the network goes; None where the case brings a network of its own.
        share: Of the seeds; below 1 where one seed is dear or nothing is random.
    """

    measure: str
    problem: str
    answers: Callable[[Counted, Stream], Iterable[Answer]]
    loss: SmoothLoss | None = None
    share: float = 1.0

    def __str__(self) -> str:
        return f"{self.measure} on {self.problem}"


@dataclass(frozen=True)
class Outcome:
    """A case at all seeds.

    Args:
        case: The case.
        lines: One for each quantity.
        seeds: How many seeds.
        cost: Losses, gradients and Hessian products per seed.
        seconds: Of one seed.
    """

    case: Case
    lines: list[Line]
    seeds: int
    cost: tuple[float, float, float]
    seconds: float


def tried(case: Case, seeds: int) -> Outcome:
    """Run a case at the seeds from 0 on."""
    lines: dict[str, Line] = {}
    count = max(1, math.ceil(seeds * case.share))
    counted = Counted(case.loss)  # type: ignore[arg-type]  # a case without a loss never asks for it
    begun = time.perf_counter()
    for seed in range(count):
        for name, answer in named(case.measure, case.answers(counted, Stream(seed))):
            line = lines.setdefault(name, Line(name, answer.judge))
            line.rows.append(answer.row)
            line.truths.append(answer.truth)
    seconds = (time.perf_counter() - begun) / count
    cost = (counted.losses / count, counted.gradients / count, counted.products / count)
    return Outcome(case, list(lines.values()), count, cost, seconds)


def named(measure: str, answers: Iterable[Answer]) -> Iterator[tuple[str, Answer]]:
    """The answers under names of their own, with the flags that the table would give them."""
    for answer in answers:
        (row,) = checked(measure, [answer.row])
        yield f"{row.quantity} {answer.note}".rstrip(), answer._replace(row=row)
