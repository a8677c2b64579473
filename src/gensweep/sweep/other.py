"""The other run that a measure goes to, looked up and held against the first. No torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from safetensors.numpy import load

from gensweep.errors import InputError
from gensweep.sweep.check import POINTS
from gensweep.sweep.identity import data_seed
from gensweep.table.store import Run, Store


def resolved(measures: dict[str, Any], run: Run, store: Store) -> dict[str, Any]:
    """The settings of all measures, with the full name of a run wherever ``other`` has its beginning.

    Args:
        measures: Measure → settings; an ``other`` that is ``init`` stays.
        run: Which is to be measured; trained.
        store: Where the other one is.

    Raises:
        InputError: There is no such run, or no line leads from one to the other.
    """
    found = dict(measures)
    for name, settings in named(measures).items():
        setting = f"measure.{name}.other={settings['other']}"
        try:
            other = store.find(settings["other"])
        except InputError as error:
            raise InputError(f"{setting}: {error}") from None
        _check(run, other, setting)
        found[name] = {**settings, "other": other.run_id}
    return found


def named(measures: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The measures that name a run."""
    return {name: s for name, s in measures.items() if s.get("other", "init") != "init"}


def check_named(measures: Mapping[str, Any], store: Store, needs: Collection[str]) -> None:
    """Whether the runs that measures name are trained, or will be.

    Args:
        measures: Measure → settings, of a run that need not be trained itself.
        store: Where the others are.
        needs: Names of runs that will be trained before.

    Raises:
        InputError: One is not.
    """
    for name, settings in measures.items():
        others = [settings["other"]] if name in named(measures) else []
        for other in (o for o in (*others, *settings.get("ends", ())) if o not in needs):
            if not re.fullmatch("[0-9a-f]{12}", other) or not store.run(other).trained():
                raise InputError(
                    f"measure.{name}: {other} is no run that is trained; in a sweep say how it differs, "
                    f"'with batch_size=256', or once both are trained `gensweep measure RUN measure={name}`"
                )


def check_ends(measure: str, settings: Mapping[str, Any], run: Run, store: Store) -> None:
    """Hold the runs that a measure names against the one that is measured, now that all are trained.

    Raises:
        InputError: One is not trained, or no line leads there.
    """
    if settings.get("other", "init") != "init":
        _check(run, store.run(settings["other"]), f"measure.{measure}.other={settings['other']}")
    for end in settings.get("ends", ()):
        _check_network(run, store.run(end), f"measure.{measure}.ends")


def _check(run: Run, other: Run, setting: str) -> None:
    if other.run_id == run.run_id:
        raise InputError(f"{setting} is run {run.run_id} itself; name another one, or init")
    _check_network(run, other, setting)
    if _examples(run) != _examples(other):
        raise InputError(
            f"{setting}: run {other.run_id} has other training or test examples than run {run.run_id}; "
            "data, sizes, labels and the seed that draws them must be the same, as in runs that differ in "
            "batch_size, optim or budget"
        )


def _check_network(run: Run, other: Run, setting: str) -> None:
    if not other.trained():
        raise InputError(
            f"{setting}: run {other.run_id} has no undamaged solution; it is {other.state()['state']}"
        )
    if network(run.config()) != network(other.config()):
        raise InputError(
            f"{setting}: run {other.run_id} has another network than run {run.run_id}; "
            "model and precision must be the same"
        )


def network(config: Mapping[str, Any]) -> Any:
    """What two runs share whose weights fit into one network."""
    return config["precision"] == "float64", {k: v for k, v in config["model"].items() if k != "name"}


def _examples(run: Run) -> Any:
    """The data set, and the numbers and labels of what was drawn from it, in whatever order."""
    config, splits = run.config(), load(run.read("splits.safetensors"))
    pairs = [
        sorted(zip(splits[f"{name}.index"].tolist(), splits[f"{name}.label"].tolist(), strict=True))
        for name in ("train", "test")
    ]
    # Points are made anew under each seed, and their numbers say nothing of where they are.
    return config["data"], data_seed(config) if config["data"]["name"] in POINTS else None, pairs
