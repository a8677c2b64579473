"""A user's own examples as splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gensweep.data.base import Data, Split
from gensweep.errors import InputError
from gensweep.own.words import described, said


def of_arrays(train: Any, test: Any) -> Data:
    """The splits, without a confusion and a poison set; nothing normalises them.

    Raises:
        InputError: What is wrong with their types and shapes.
    """
    first = split_of("train", train)
    none = Split(first.x[:0], first.y[:0], first.index[:0])
    second = none if test is None else split_of("test", test)
    if first.x.shape[1:] != second.x.shape[1:]:
        shapes = f"{second.x.shape[1:]} in test x and {first.x.shape[1:]} in train x"
        raise InputError(f"an example has the shape {shapes}; give both alike")
    return Data(first, none, none, second, num_classes=0)


def split_of(name: str, pair: Any) -> Split:
    """Inputs and labels as arrays of their own."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"{name} is {described(pair)}; give a pair (x, y) of inputs and labels")
    if pair[1] is None:
        raise InputError(f"{name} has no labels: its y is None; measures need the class of each example")
    x, y = array(f"{name} x", pair[0]), array(f"{name} y", pair[1])
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise InputError(f"{name} y is {described(y)}; give whole numbers (N,), the class of each example")
    if not x.ndim or len(x) != len(y):
        raise InputError(f"{name} x is {described(x)}, and its y has {len(y)} labels; give as many of both")
    if not len(y):
        raise InputError(f"{name} holds no examples")
    if x.dtype.kind in "fc" and not np.isfinite(x).all():
        raise InputError(f"{name} x holds NaN or infinity; measures need numbers")
    return Split(x, y.astype(np.int64), np.arange(len(y)))


def array(name: str, values: Any) -> np.ndarray:
    """A copy as an array that torch takes."""
    try:
        if isinstance(values, Tensor):
            whole = values.detach().cpu()
            values = (whole.float() if whole.dtype == torch.bfloat16 else whole).numpy()  # NumPy lacks it
        found = np.array(values)
        torch.from_numpy(found)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name} is {described(values)}, which makes no tensor: {said(error)}") from error
    return found


def check_labels(name: str, y: np.ndarray, classes: int) -> None:
    """Refuse labels that are no class of the network's."""
    outside = np.flatnonzero((y < 0) | (y >= classes))
    if len(outside):
        label = f"{name} y holds the label {y[outside[0]]} (example {outside[0]})"
        raise InputError(f"{label}, and the model has outputs for 0 to {classes - 1}")
