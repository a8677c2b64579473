"""Measure a network of one's own: `gensweep.measure`."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

import gensweep.measures
from gensweep.data.base import Data
from gensweep.errors import InputError, close_match
from gensweep.geometry.derivative import NoDerivative
from gensweep.geometry.solution import PerExample, Solution, cross_entropy
from gensweep.measures.base import Measure
from gensweep.own.examples import of_arrays
from gensweep.own.network import bare, copied, device_of, fingerprint, solution_of
from gensweep.own.trial import tried
from gensweep.own.words import described, said
from gensweep.products import quick_products
from gensweep.rng import Stream
from gensweep.rows import QUANTITIES, Row, checked, not_applicable
from gensweep.sweep.check import check, check_measures, coerced
from gensweep.sweep.offered import CONF_DIR, offered
from gensweep.sweep.rules import rule_for
from gensweep.table.shards import tabulated


def measure(
    model: torch.nn.Module,
    *,
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    measures: Iterable[str | Measure],
    loss: PerExample = cross_entropy,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure a trained classifier, and leave it bit for bit as it was found.

    The work is done on a copy in eval mode. Weights, mode, gradients, buffers, hooks and device of the
    model stay as they are, as does the random state of torch, NumPy and Python, also when a measure fails.
    A hook runs on the copy too: what it writes elsewhere is written. A measure draws from a stream named by
    seed and measure, so that its rows do not depend on which others are asked for, or in which order.

    Args:
        model: Any `torch.nn.Module` that maps a batch (N, …) to logits (N, C), float32 or float64, on one
            device. Frozen parameters stay where they are: measures see those that require a gradient.
        train: Inputs (N, …), tensor or array, and labels (N,), whole numbers from 0 to C − 1. Floating-point
            inputs are given in the type of the weights, others (indices of tokens) as they are; nothing is
            normalised.
        test: The same of the test set, for the gaps; may be left out.
        measures: Names, which take the settings of ``conf/measure``, or objects from `gensweep.measures`
            with settings of their own; one number stands for a list of one.
        loss: From float64 outputs (N, C) and int64 labels (N,) to one loss per example (N,).
        seed: Of all that is random, ≥ 0. Nets that are compared should share it: they meet the same rays.

    Returns:
        The tidy table: one row per number, in the columns of README.md, with the ``reason`` of a status
        that is not ``ok``. ``run_id`` is a hash of the weights and buffers, so that tables of several
        models can be joined by `pandas.concat`.

    Raises:
        InputError: What is wrong with the model, the data, the loss or a setting, before anything runs.

    A measure that fails all the same has rows that say so, and a Python warning.
    """
    if rule_for("seed")[0](plain(seed)) is None:  # type: ignore[index]
        raise InputError(f"seed={seed} is not a whole number, 0 or more")
    wanted = chosen(measures, loss)
    network = bare(model)
    with undisturbed(device_of(network)):
        solution = solution_of(network, loss)
        data = tried(solution, of_arrays(train, test))
        of_one_kind(solution, wanted)
        rows = {name: rows_of(name, wanted[name], solution, data, int(seed)) for name in wanted}
        return tabulated(rows, fingerprint(solution.model))


def chosen(measures: Iterable[str | Measure], loss: PerExample) -> dict[str, Measure]:
    """Name → measure, every setting checked; a model among them becomes the solution that it is.

    Raises:
        InputError: An unknown name or object, one name twice, or a setting that cannot be.
    """
    if isinstance(measures, str) or not isinstance(measures, Iterable):
        raise InputError(f"measures={measures!r} is not a list of names or measures; write measures=[…]")
    listed = list(measures)
    if not listed:
        raise InputError("measures is empty; name at least one, for instance measures=['error']")
    names = [name_of(item) for item in listed]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"measures: {name} is there twice, so that rows would share a key; call twice")
    offers = offered({}, names, (CONF_DIR,))["measure"]
    targets = {name: offers[name].pop("_target_").rpartition(".")[2] for name in names}
    given = {name: settings(item, offers[name]) for name, item in zip(names, listed, strict=True)}
    ends = {name: models(values, loss) for name, values in given.items()}
    given = {name: values | {key: offers[name][key] for key in ends[name]} for name, values in given.items()}
    check({"measure": given}, {"measure": offers})
    given = coerced({"measure": given})["measure"]
    check_measures(given)
    return {name: getattr(gensweep.measures, targets[name])(**given[name] | ends[name]) for name in names}


def of_one_kind(solution: Solution, wanted: dict[str, Measure]) -> None:
    """Refuse models among the settings that a line cannot lead to.

    Raises:
        InputError: One has other parameters than the model.
    """
    for name, measure in wanted.items():
        for key in ("other", "path", "ends"):
            given = getattr(measure, key, ())
            for end in given if isinstance(given, list | tuple) else [given]:
                if isinstance(end, Solution) and end.layout != solution.layout:
                    raise InputError(
                        f"{name}: a model in {key}=… has other parameters than the model measured"
                    )


def models(values: dict[str, Any], loss: PerExample) -> dict[str, Any]:
    """The settings that are models of the user's own, or lists of them, as solutions."""

    def solution(model: Any) -> Solution:
        return solution_of(bare(model), loss)

    for key in {"other", "path", "ends"} & values.keys():
        given = values[key]
        fine = [given] if key == "other" else given
        if not isinstance(fine, list) or not all(isinstance(m, nn.Module) or m == "init" for m in fine):
            wanted = "'init' or another model" if key == "other" else "a list of models"
            raise InputError(f"{key}=… takes {wanted}; this is {described(given)}")
    lists = {k: v for k, v in values.items() if isinstance(v, list) and v and isinstance(v[0], nn.Module)}
    alone = {k: solution(v) for k, v in values.items() if isinstance(v, nn.Module)}
    return alone | {k: [solution(model) for model in v] for k, v in lists.items()}


def name_of(item: Any) -> str:
    """The name of a measure, given it or an object of its class."""
    known = [path.stem for path in (CONF_DIR / "measure").glob("*.yaml")]
    if isinstance(item, str):
        if item not in known:
            raise InputError(f"measures: there is no {item!r}; {close_match(item, known)}")
        return item
    if type(item) is not getattr(gensweep.measures, type(item).__name__, None):
        hint = f"; write {item.__name__}()" if item in vars(gensweep.measures).values() else ""
        raise InputError(f"measures: {item!r} is neither a name nor an object from gensweep.measures{hint}")
    return type(item).__module__.rpartition(".")[2]


def settings(item: Any, offer: dict[str, Any]) -> dict[str, Any]:
    """The settings of a measure as a yaml file would hold them, one number as a list of one."""
    if isinstance(item, str):
        return dict(offer)
    values = {field.name: plain(getattr(item, field.name)) for field in dataclasses.fields(item)}
    return {
        key: [value] if isinstance(offer.get(key), list) and not isinstance(value, list) else value
        for key, value in values.items()
    }


def plain(value: Any) -> Any:
    """A setting without NumPy's types and tuples."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return [plain(v) for v in value] if isinstance(value, list | tuple | range) else value


@contextlib.contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Derivatives on, mixed precision off, and every random state put back at the end."""
    cuda = [device] if device.type == "cuda" else []
    of_numpy, of_python = np.random.get_state(), random.getstate()  # noqa: NPY002 (the user's, to put back)
    try:
        with (
            torch.random.fork_rng(cuda),
            torch.inference_mode(False),  # turns derivatives on as well
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)


def rows_of(name: str, measure: Measure, solution: Solution, data: Data, seed: int) -> list[Row]:
    """The rows of one measure, on a copy of its own: a network may keep something of its forward passes."""
    stream = Stream(seed).child("measure", name)
    try:
        with quick_products():
            return checked(name, measure(copied(solution), data, stream))
    except NoDerivative as obstacle:
        return [not_applicable(quantity, str(obstacle), split="train") for quantity in QUANTITIES[name]]
    except InputError:
        raise
    except Exception as error:  # what other measures have found is not lost for it
        reason = f"the measure failed: {said(error)}"
        warnings.warn(f"{name}: {reason}", stacklevel=3)
        return [not_applicable(quantity, reason, split="train") for quantity in QUANTITIES[name]]
