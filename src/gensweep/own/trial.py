"""A user's own network and loss, tried on a few examples before anything is measured."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from gensweep.data.base import Data, Split
from gensweep.data.resident import resident
from gensweep.errors import InputError
from gensweep.geometry.solution import Solution
from gensweep.own.examples import check_labels
from gensweep.own.network import copied
from gensweep.own.words import described, said

TRIAL = 32  # examples


def tried(solution: Solution, data: Data) -> Data:
    """The data with its number of classes, which the outputs of the network tell.

    Raises:
        InputError: The first thing that is wrong.
    """
    classes = outputs_tried(copied(solution), data)
    for name in ("train", "test"):
        check_labels(name, data.splits()[name].y, classes)
    loss_tried(copied(solution), data)
    return dataclasses.replace(data, num_classes=classes)


def outputs_tried(solution: Solution, data: Data) -> int:
    """The number of classes C, after two forward passes over a few examples.

    Raises:
        InputError: They fail, differ, write to their input, or are no logits.
    """
    x, _ = few(solution, data)
    given = x.clone()
    first, second = forward(solution, given), forward(solution, x.clone())
    if not same(given, x):
        raise InputError(
            "model writes to its input, so that the next pass differs; write x = x / 255, not x /= 255"
        )
    if not isinstance(first, Tensor):
        raise InputError(f"model returns {described(first)}; wrap it so that it returns logits alone, (N, C)")
    if first.dim() != 2 or len(first) != len(x) or first.shape[1] < 2 or not first.is_floating_point():
        hint = "; one logit z makes two, (0, z)" if first.shape == (len(x), 1) else ""
        raise InputError(f"model returns {described(first)} for {len(x)} examples, not logits (N, C){hint}")
    if not same(first, second):
        apart = f"differ by up to {(first - second).abs().max().item():.3g}"
        raise InputError(f"model is random in eval mode: two passes over the same batch {apart}")
    alone = torch.cat([forward(solution, part.clone()) for part in x.tensor_split(2) if len(part)])
    if not torch.allclose(first, alone, rtol=1e-2, atol=1e-3, equal_nan=True):
        raise InputError(
            "model gives an example another output in another batch (batch norm without stored statistics?); "
            "its loss is no mean over examples"
        )
    return first.shape[1]


def forward(solution: Solution, x: Tensor) -> Any:
    """One forward pass, as the measures do it."""
    try:
        with torch.no_grad():
            return functional_call(solution.model, solution.layout.unpack(solution.theta_P), (x,))
    except Exception as error:  # a forward pass may raise anything at all
        raise InputError(f"model fails on {described(x)}: {said(error)}") from error


def loss_tried(solution: Solution, data: Data) -> None:
    """Refuse a loss that does not give one number per example, the same one each time."""
    x, y = few(solution, data)
    outputs = forward(solution, x).double()
    try:
        first, second = solution.loss(outputs, y), solution.loss(outputs, y)
    except Exception as error:  # so may a loss
        what = f"{described(outputs)} and {described(y)}"
        raise InputError(f"loss fails on {what}: {said(error)}") from error
    if not isinstance(first, Tensor) or first.shape != (len(y),) or not first.is_floating_point():
        hint = "; reduction='none' keeps them apart" if isinstance(first, Tensor) and not first.dim() else ""
        raise InputError(f"loss returns {described(first)} for {len(y)} examples, not one each{hint}")
    if not same(first, second):
        raise InputError("loss is random: it gives two losses for the same outputs")


def few(solution: Solution, data: Data) -> tuple[Tensor, Tensor]:
    """A few training examples, as the network is given them."""
    head = Split(data.train.x[:TRIAL], data.train.y[:TRIAL], data.train.index[:TRIAL])
    return resident(head, data, solution.device, solution.theta_P.dtype)


def same(one: Any, other: Any) -> bool:
    """Whether two tensors hold the same numbers, NaN included."""
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
