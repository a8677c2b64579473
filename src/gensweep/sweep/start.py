"""The stored run that another one starts from, looked up and held against it. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gensweep.data.facts import IMAGES
from gensweep.errors import InputError
from gensweep.sweep.check import POINTS
from gensweep.sweep.other import network
from gensweep.table.store import Run, Store
from gensweep.train.budget import kept_epochs


def resolved(config: dict[str, Any], store: Store) -> dict[str, Any]:
    """The config with the full name of the run that it starts from, so that the name is part of its own.

    Raises:
        InputError: No run, or several, have a name that begins like this.
    """
    start = config["start"]
    if start["run"] == "RUN":  # so a protocol says that it needs one
        raise InputError("this protocol begins from the weights of another run; name it: start.run=RUN")
    if start["run"] is None or re.fullmatch("[0-9a-f]{12}", start["run"]):
        return config
    return {**config, "start": {**start, "run": _found(start["run"], store).run_id}}


def check_start(config: Mapping[str, Any], store: Store) -> None:
    """Whether there are weights to start from, and whether they fit.

    Args:
        config: Resolved; it starts from a run.
        store: Where the other run is.

    Raises:
        InputError: It is not there or not trained, kept nothing after that epoch, or has another network.
    """
    name, epoch = config["start"]["run"], config["start"]["epoch"]
    run = _found(name, store)
    if not run.trained():
        state = run.state()["state"]
        raise InputError(f"start.run={name} has no undamaged solution to start from; it is {state}")
    theirs = run.config()
    if network(theirs) != network(config):
        raise InputError(f"start.run={name} has another network; model and precision must be the same")
    if shape(theirs["data"]["name"]) != shape(config["data"]["name"]):
        raise InputError(
            f"start.run={name} was trained on {theirs['data']['name']}, whose examples or classes are not "
            f"those of {config['data']['name']}; its weights do not fit"
        )
    kept = [0, *kept_epochs(theirs["budget"].get("keep"), _ended(run))]
    if epoch is not None and epoch not in kept:
        raise InputError(
            f"start.epoch={epoch}: run {name} did not keep its weights after that epoch; it has "
            f"{', '.join(map(str, kept))}, and null for its solution"
        )


def shape(data: str) -> Any:
    """Shape of an example and number of classes of a data set."""
    if data in POINTS:
        return (2,), 2
    return (IMAGES[data].shape, IMAGES[data].num_classes) if data in IMAGES else ((1, 8, 8), 10)


def _found(name: str, store: Store) -> Run:
    try:
        return store.find(name)
    except InputError as error:
        raise InputError(f"start.run={name}: {error}") from None


def _ended(run: Run) -> int:
    return run.outcome()["epochs"]
