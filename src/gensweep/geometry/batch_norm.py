"""Which mean and variance batch norm uses away from the solution. Nothing of the network is written to."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from gensweep.data.base import Data
from gensweep.errors import InputError
from gensweep.geometry.fold import BATCH_NORMS
from gensweep.geometry.forward import Buffers
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution


def statistics(mode: str, train: Risk) -> Callable[[Tensor], Buffers]:
    """What stands in for the stored statistics at each point θ.

    Args:
        mode: ``fixed``, the stored ones stay; ``reestimated``, see `Reestimated`; ``batch``, each chunk of
            examples is normalised by its own mean and variance, as it was in training.
        train: The training split, whatever split is evaluated afterwards.

    Error: Exact. With ``batch`` the loss depends on how the examples fall into chunks.

    Source: Keskar et al. 2017 (1609.04836) for ``batch``; Li et al. 2018 (1712.09913) for ``fixed``.
    """
    if mode == "fixed":
        return lambda theta_P: {}
    if mode == "batch":
        none: Buffers = dict.fromkeys(stored(train.model))
        return lambda theta_P: none
    if mode == "reestimated":
        return Reestimated(train)
    raise InputError(f"batch_norm={mode} is not one of fixed, reestimated, batch; choose one of them")


def stored(model: nn.Module) -> dict[str, Tensor]:
    """Mean and variance of every batch norm that keeps them, by the name of their buffer."""
    found: dict[str, Tensor] = {}
    for name, norm in _norms(model).items():
        found |= {f"{name}.running_mean": norm.running_mean, f"{name}.running_var": norm.running_var}
    return found


def initial(model: nn.Module) -> dict[str, Tensor]:
    """The statistics that batch norm begins with: mean 0, variance 1."""
    return {name: torch.full_like(b, float(name.endswith("var"))) for name, b in stored(model).items()}


def mixed(a: dict[str, Tensor], b: dict[str, Tensor], near: float, far: float) -> Buffers:
    """near·a + far·b of each mean and variance; a variance beyond the ends stops at 0.

    Args:
        a: Statistics of one network, as in `stored`.
        b: Those of the other.
        near: Weight of a, 1 − far.
        far: Weight of b.
    """
    sums = {name: near * a[name] + far * b[name].to(a[name]) for name in a}
    return {name: s.clamp_min(0) if name.endswith("var") else s for name, s in sums.items()}


def reestimated(solution: Solution, data: Data) -> Solution:
    """The solution with the statistics of the clean examples at θ* in place of the running ones of training.

    Raises:
        InputError: No batch norm of the network keeps any.
    """
    check_kept(solution.model)
    model = copy.deepcopy(solution.model)
    found = Reestimated(Risk(solution, data.clean, data))(solution.theta_P)
    for name, buffer in model.named_buffers():
        if name in found:
            buffer.copy_(found[name])
    return replace(solution, model=model)


def check_kept(model: nn.Module) -> None:
    """Refuse a network without statistics to take anew.

    Raises:
        InputError: No batch norm of the network keeps any.
    """
    if not stored(model):
        needed = "batch norm that keeps its statistics"
        raise InputError(f"reestimate_batch_norm=true needs {needed}, and {type(model).__name__} has none")


class Reestimated:
    """Batch norm's mean and variance over the whole training split, at any parameters.

    One batch norm after the other is settled, each on what the settled ones before it let through, so
    that chunks change nothing. The variance is that of the split, divided by the number of its values.
    A batch norm that is called twice in one pass takes the statistics of its first call.

    Args:
        train: The training split.

    Cost: one forward pass when the split fits into a chunk; else at most one per batch norm, cut off there.

    Error: Exact, up to rounding; sums are in float64.
    """

    def __init__(self, train: Risk) -> None:
        self.train = train
        self.twin = copy.deepcopy(train.model)
        self.norms = _norms(self.twin)
        self.settled: set[nn.Module] = set()
        self.met: list[
            tuple[Any, int, Tensor, Tensor]
        ] = []  # one batch norm: values, mean, variance by chunk
        for norm in self.norms.values():
            norm.register_forward_pre_hook(self._meet, with_kwargs=True)

    @torch.no_grad()
    def __call__(self, theta_P: Tensor) -> Buffers:
        """The statistics at θ, by the name of their buffer."""
        self.settled.clear()
        while len(self.settled) < len(self.norms):
            before = len(self.settled)
            for x, _ in self.train.chunks(most=self.train.chunk):
                with contextlib.suppress(_Reached):
                    functional_call(self.twin, self.train.layout.unpack(theta_P), (x,))
            self._settle()
            if len(self.settled) == before:
                break  # the rest is never called
        return stored(self.twin)

    def _meet(self, norm: Any, given: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        """Note what a batch norm is about to normalise; with several chunks, the others come first."""
        if norm in self.settled:
            return
        values = (*given, *named.values())[0].double().transpose(0, 1).flatten(1)
        variance, mean = torch.var_mean(values, 1, correction=0)
        self.met.append((norm, values.shape[1], mean, variance))
        if len(self.train) > self.train.chunk:
            raise _Reached
        self._settle()

    def _settle(self) -> None:
        """Give the batch norm that was met the statistics of all chunks together."""
        if not self.met:
            return
        norm = self.met[0][0]
        total = sum(n for _, n, _, _ in self.met)
        mean = sum((n / total) * m for _, n, m, _ in self.met)
        variance = sum((n / total) * (v + (m - mean).square()) for _, n, m, v in self.met)
        norm.running_mean = torch.as_tensor(mean).to(norm.running_mean)
        norm.running_var = torch.as_tensor(variance).to(norm.running_var)
        self.settled.add(norm)
        self.met.clear()


class _Reached(Exception):
    """A forward pass came to a batch norm that is not settled, and ends there."""


def _norms(model: nn.Module) -> dict[str, Any]:
    named = model.named_modules()
    return {n: m for n, m in named if isinstance(m, BATCH_NORMS) and m.running_var is not None}
