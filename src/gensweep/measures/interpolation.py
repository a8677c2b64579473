"""The loss on the straight line from the solution to another point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.errors import InputError
from gensweep.geometry.batch_norm import initial, mixed, statistics, stored
from gensweep.geometry.combinations import Combinations
from gensweep.geometry.forward import Buffers
from gensweep.geometry.maps import Statistics, scored
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class Interpolation:
    """Train and test set on the line θ = (1−x)·θ* + x·θ_other: x = 0 is this solution, x = 1 the other end.

    Yields ``loss`` (nats) and ``accuracy`` (fraction) at each x, and per split the ``barrier``, the largest
    L(x) − ((1−x)·L(0) + x·L(1)) of the grid between the ends. Both ends count, so it is never negative.

    Args:
        other: ``init`` for θ₀, or another solution of the same architecture: on the command line the
            beginning of a run's name, in `gensweep.measure` another model.
        steps: Steps of the grid from one end to the other.
        beyond: Further steps past either end; 8 and 8 make the source's 25 points on [−1, 2].
        batch_norm: ``interpolated``, the stored statistics move along the line with the weights, and a
            variance past an end stops at 0; ``fixed``, those of this solution everywhere; ``reestimated``
            over the training split at each point, for the test split too; ``batch``, those of each chunk of
            at most 10,000 examples. The default leaves both ends their own losses. θ₀ has mean 0, variance 1.

    Cost: ``steps`` + 2·``beyond`` + 1 F of each split; ``reestimated`` adds one F of the training split to
    each, above 10,000 examples up to one per batch norm.

    Error: Exact at each x. The barrier is that of the grid; one of the line can only be larger.

    Invariance: Swapping the ends mirrors the line, x → 1 − x. Rescalings that preserve the function are
    seen, unless both ends undergo the same one; so is the order of hidden units.

    Trust: Where weights differ in scale, the wider end of the picture is that of the larger weights, not of
    the flatter minimum. With batch norm, ``interpolated`` and ``fixed`` show a barrier that is partly theirs,
    and past an end ``interpolated`` divides by a variance near 0: compare with ``reestimated``.

    Source: Keskar et al. 2017 (1609.04836), figure 3; Li et al. 2018 (1712.09913), §3, whose statistics are
    ``interpolated``, where Keskar's are those of a ``batch``.

    Example: ``Interpolation(other=earlier[0])``
    """

    other: Solution | str = "init"
    steps: int = 8
    beyond: int = 8
    batch_norm: str = "interpolated"

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        other_P, far = self.end(solution)
        if other_P is None:
            for split in ("train", "test"):
                yield from nothing(
                    "the beginning of this training is not known; name another solution", split
                )
            return
        risks = {"train": Risk(solution, data.train, data)}
        if len(data.test):
            risks["test"] = Risk(solution, data.test, data)
        else:
            yield from nothing("the run has no test set", "test")
        near = stored(solution.model)
        if torch.equal(other_P, solution.theta_P) and all(
            torch.equal(near[name], far[name]) for name in near
        ):
            for name in risks:
                yield from nothing("both ends of the line are one point", name)
            return
        self.check(solution, data, risks["train"], other_P, far)
        buffers = self.statistics(risks["train"], far)
        yield from self.walk(risks, solution.theta_P, other_P, buffers)

    def end(self, solution: Solution) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Parameters, where they are known, and batch norm statistics of the other end.

        Raises:
            InputError: It is no solution, or one of another architecture.
        """
        if self.other == "init":
            begun = initial(solution.model)
            known = solution.init_buffers or {}
            return solution.init_P, {name: known.get(name, fresh).to(fresh) for name, fresh in begun.items()}
        if not isinstance(self.other, Solution):
            raise InputError("Interpolation(other=…) is neither 'init' nor another model; give one of them")
        near, far = stored(solution.model), stored(self.other.model)
        if shapes(far) != shapes(near) or self.other.layout != solution.layout:
            raise InputError("Interpolation(other=…) has another architecture; a line needs two of one kind")
        return self.other.theta_P.to(solution.theta_P), far

    def check(self, solution: Solution, data: Data, train: Risk, other_P: Tensor, far: Buffers) -> None:
        """Whether this network with the other's parameters and statistics is the other.

        Raises:
            InputError: It is not: something else is between them, which no line crosses.
        """
        if not isinstance(self.other, Solution):
            return
        own = Risk(self.other, data.train, data, per_example=solution.loss)(self.other.theta_P)
        here = train.loss_and_accuracy(other_P, far)[0]
        if math.isfinite(own + here) and not math.isclose(own, here, rel_tol=1e-4, abs_tol=1e-6):
            raise InputError(
                f"Interpolation(other=…): with the other's weights and statistics this network has the loss "
                f"{here:.4g}, the other {own:.4g}: they differ in something that no line crosses, such as "
                "frozen weights, buffers or layers"
            )

    def statistics(self, train: Risk, far: dict[str, Tensor]) -> Statistics:
        """What stands in for the stored statistics at θ, where the ends have these weights."""
        if self.batch_norm == "interpolated":
            near = stored(train.model)
            return lambda theta_P, weights: mixed(near, far, *weights)
        buffers = statistics(self.batch_norm, train)
        return lambda theta_P, weights: buffers(theta_P)

    def walk(
        self,
        risks: Mapping[str, Risk],
        theta_P: Tensor,
        other_P: Tensor,
        buffers: Statistics,
    ) -> Iterator[Row]:
        """The measure for any losses, so that a test can put a bowl where the network goes."""
        losses: dict[str, list[float]] = {name: [] for name in risks}
        # Not θ* + x·(θ_other − θ*): this way both ends are themselves, and the line mirrors exactly.
        steps = range(-self.beyond, self.steps + self.beyond + 1)
        weights = [((self.steps - step) / self.steps, step / self.steps) for step in steps]
        line = Combinations.of_all(torch.stack([theta_P, other_P]), weights)
        for (_, x), here in zip(weights, scored(risks, line, buffers), strict=True):
            for name, (loss, accuracy) in here.items():
                losses[name].append(loss)
                yield Row("loss", loss, split=name, x=x)
                yield Row("accuracy", accuracy, split=name, x=x)
        for name, found in losses.items():
            yield Row("barrier", barrier(found[self.beyond : self.beyond + self.steps + 1]), split=name)


def barrier(losses: list[float]) -> float:
    """The largest height of losses on a line above the chord between the first and the last.

    >>> barrier([1.0, 3.0, 2.0])
    1.5
    """
    steps = len(losses) - 1
    ends = losses[0], losses[-1]
    heights = [loss - ((steps - k) / steps * ends[0] + k / steps * ends[1]) for k, loss in enumerate(losses)]
    return torch.tensor(heights, dtype=torch.float64).max().item()  # NaN where any of them is


def nothing(reason: str, split: str) -> Iterator[Row]:
    """The rows of a split that has no line."""
    for quantity in ("loss", "accuracy", "barrier"):
        yield not_applicable(quantity, reason, split=split)


def shapes(statistics: dict[str, Tensor]) -> dict[str, torch.Size]:
    """Name → shape."""
    return {name: b.shape for name, b in statistics.items()}
