"""What names a run: the science in its config, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SCIENCE = (
    "seed",
    "data_seed",
    "poison_factor",
    "batch_size",
    "train_size",
    "confusion_size",
    "poison_size",
    "random_labels",
    "augment",
    "clip_norm",
    "precision",
    "sync_batch_norm",
    "reestimate_batch_norm",
    "reparametrise",
    "start",
    "data",
    "model",
    "optim",
    "schedule",
    "budget",
)
# Keys inside those groups that cannot change a number.
NOT_SCIENCE = {"data": ("download",)}


def science(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a composed config that can change a number."""
    chosen = {key: config[key] for key in SCIENCE}
    for group, keys in NOT_SCIENCE.items():
        chosen[group] = {k: v for k, v in chosen[group].items() if k not in keys}
    if not config["sync_batch_norm"]:  # here alone the number of processes changes the numbers
        chosen["batch_norm_parts"] = config.get("batch_norm_parts", config["hardware"]["processes"])
    return chosen


def data_seed(config: Mapping[str, Any]) -> int:
    """The seed of the data: of points, splits, random labels and the order of batches.

    >>> data_seed({"seed": 3, "data_seed": None}), data_seed({"seed": 3, "data_seed": 0})
    (3, 0)
    """
    chosen = config.get("data_seed")
    return config["seed"] if chosen is None else chosen


def fingerprint(settings: Any) -> str:
    """Twelve hex digits that name these settings, whatever their order.

    >>> fingerprint({"a": 1, "b": 0.5}) == fingerprint({"b": 0.5, "a": 1})
    True
    """
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_id(config: Mapping[str, Any]) -> str:
    """The name of the run that this config describes."""
    return fingerprint(science(config))


def shards(config: Mapping[str, Any]) -> dict[str, str]:
    """For each measure that the config asks for, the name of the shard that will hold its rows."""
    return {name: f"{name}-{fingerprint(settings)}" for name, settings in config["measure"].items()}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves under their dotted paths.

    >>> flatten({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': [2]}
    """
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves
