"""A network from a package that the user trusts: imported, looked at, made, and tried before training."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import torch
from torch import nn

from gensweep.data.base import Data
from gensweep.errors import InputError
from gensweep.geometry.solution import cross_entropy
from gensweep.models.build import drawn
from gensweep.own.network import copied, solution_of
from gensweep.own.trial import few, outputs_tried
from gensweep.own.words import said
from gensweep.rng import Stream


def made(settings: dict[str, Any], input_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """The network that a yaml file of the user's names.

    Args:
        settings: Of the model; all but ``name`` and ``_target_`` go to its constructor.
        input_shape: Of one example.
        num_classes: C.

    Raises:
        InputError: There is no such class, or it cannot be made.
    """
    kind = network_class(settings["_target_"])
    given = {k: v for k, v in settings.items() if k not in ("name", "_target_")}
    try:
        return kind(**given, input_shape=input_shape, num_classes=num_classes)
    except (Exception, SystemExit) as error:  # a constructor may raise anything at all
        raise InputError(
            f"model._target_={settings['_target_']} cannot be made from input_shape={input_shape}, "
            f"num_classes={num_classes} and its settings: {said(error)}"
        ) from error


def network_class(target: str) -> type[nn.Module]:
    """The class at a dotted path, in a package that is installed or lies in the current directory.

    Raises:
        InputError: It cannot be imported, is no network, or lies in another package.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # last: no file there stands in for a package that is installed
    place, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(place), name)
    except (Exception, SystemExit) as error:  # so may a module that is imported
        raise InputError(f"model._target_={target} cannot be imported: {said(error)}") from error
    if not isinstance(found, type) or not issubclass(found, nn.Module):
        raise InputError(f"model._target_={target} is no subclass of torch.nn.Module; name the class")
    package = target.partition(".")[0]
    if found.__module__.partition(".")[0] != package:
        raise InputError(f"model._target_={target} lies in {found.__module__}, not in {package}")
    return found


def try_out(model: nn.Module, data: Data) -> None:
    """Run a network on a few examples, as the measures and the training will; a copy of it does the work.

    Raises:
        InputError: What is wrong with its weights or its outputs.
    """
    solution = solution_of(model, cross_entropy)
    classes = outputs_tried(copied(solution), data)
    if classes != data.num_classes:
        raise InputError(f"model returns {classes} logits for data of {data.num_classes} classes")
    x, y = few(solution, data)
    network = copied(solution).model.train()
    try:
        loss = drawn(lambda: cross_entropy(network(x), y).mean(), Stream(0))
        loss.backward()
    except (Exception, SystemExit) as error:  # and so may a forward pass
        raise InputError(f"model fails in train mode: {said(error)}") from error
    if not torch.isfinite(loss):
        raise InputError(f"model has a loss of {loss.item()} before it is trained")
