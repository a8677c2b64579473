"""What a config names, made: data, network, protocol. Like ``run``, this file sees a config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from gensweep.data.base import Data
from gensweep.data.corrupt import draw
from gensweep.geometry.batch_norm import check_kept
from gensweep.geometry.reparametrise import places
from gensweep.models.build import drawn
from gensweep.own.code import made, try_out
from gensweep.rng import Stream
from gensweep.sweep.identity import data_seed
from gensweep.sweep.trusted import is_own
from gensweep.train.budget import limits
from gensweep.train.protocol import Protocol


def load(config: dict[str, Any]) -> Data:
    """The data set, and the splits that the run draws from it."""
    rng = Stream(data_seed(config)).child("data")
    source = instantiate(config["data"]).load(Path(config["data_dir"]), rng.child("source"))
    sizes = {k: config[k] for k in ("train_size", "confusion_size", "random_labels", "poison_size")}
    return draw(source, rng.child("splits"), **sizes)


def network(config: dict[str, Any], data: Data) -> torch.nn.Module:
    """The network for inputs and classes of this data, with its first weights."""
    rng = Stream(config["seed"]).child("model")
    dtype = torch.float64 if config["precision"] == "float64" else torch.float32
    return drawn(lambda: build(config["model"], data), rng).to(dtype)


def build(settings: dict[str, Any], data: Data) -> torch.nn.Module:
    """The network that a yaml file names, shipped or the user's own."""
    if is_own(settings):
        return made(settings, data.input_shape, data.num_classes)
    return part(settings)(input_shape=data.input_shape, num_classes=data.num_classes)


def part(settings: dict[str, Any]) -> Callable[..., Any]:
    """What a yaml file names, waiting for its live arguments."""
    named = {k: v for k, v in settings.items() if k != "name"}
    return instantiate({**named, "_partial_": True}, _convert_="all")


def protocol(config: dict[str, Any], data: Data) -> Protocol:
    """How the network is to be trained."""
    settings = {k: config[k] for k in ("poison_factor", "batch_size", "augment", "clip_norm", "precision")}
    schedule = part(config["schedule"])()
    examples = len(data.train) + len(data.confusion)
    ends = limits(config["budget"], examples, config["batch_size"], schedule.reference_batch)
    return Protocol(optimiser=part(config["optim"]), schedule=schedule, **settings, **ends)


def trial(config: dict[str, Any]) -> None:
    """Make the network of a config and run it on a few examples; writes nothing.

    Raises:
        InputError: What is wrong with it.
    """
    data = load(config)
    model = network(config, data)
    try_out(model, data)
    check_places(config, model)


def check_places(config: dict[str, Any], model: torch.nn.Module) -> None:
    """Whether the network has what the config would change of it; said before it is trained.

    Raises:
        InputError: It has no such place.
    """
    places(model, config["reparametrise"])
    if config["reestimate_batch_norm"]:
        check_kept(model)
