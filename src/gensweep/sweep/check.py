"""Is this composed config one that can run? Every answer comes before anything is created, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gensweep.errors import InputError, close_match
from gensweep.sweep.identity import flatten
from gensweep.sweep.rules import rule_for
from gensweep.sweep.trusted import is_own

TWO_CLASSES = POINTS = ("swissroll", "spirals")
PIXELS = {"digits": 8, "mnist": 28, "fashion_mnist": 28, "cifar10": 32, "cifar100": 32, "svhn": 32}


def check(config: Mapping[str, Any], reference: Mapping[str, Any]) -> None:
    """Compare a composed config with what its yaml files offer.

    Args:
        config: The whole config, overrides applied, as plain containers.
        reference: The same groups without any override: its keys are the keys that exist, and its
            ``_target_`` values the only ones allowed.

    Raises:
        InputError: A key that does not exist, a value outside its range, or a foreign ``_target_``.
    """
    known, given = flatten(reference), flatten(config)
    for path, value in given.items():
        if path not in known:
            raise InputError(f"{path}={value}: there is no such setting; {close_match(path, known)}")
        _check_leaf(path, value, known[path])
    for path in known:
        if path not in given:
            raise InputError(f"~{path}: a setting cannot be deleted; give it a value")


def _check_leaf(path: str, value: Any, offered: Any) -> None:
    rule = rule_for(path)
    if rule is not None:
        if rule[0](value) is None:
            raise InputError(f"{path}={value} is not {rule[1]}")
    elif value != offered:
        raise InputError(f"{path}={value} cannot be set: the yaml file says {offered}; choose another file")


def coerced(config: dict[str, Any]) -> dict[str, Any]:
    """The config with whole numbers made floats where floats are meant, so that 0 and 0.0 name one run.

    >>> coerced({"poison_factor": 0})
    {'poison_factor': 0.0}
    """

    def walk(node: Any, path: str) -> Any:
        if isinstance(node, dict):
            return {k: walk(v, f"{path}.{k}".lstrip(".")) for k, v in node.items()}
        rule = rule_for(path)
        if rule is None or node is None or isinstance(node, bool):
            return node
        value = rule[0](node)
        return node if value is None else value

    return walk(config, "")


def check_together(config: Mapping[str, Any]) -> None:
    """Rules that tie two settings.

    Raises:
        InputError: The pair that contradicts itself.
    """
    if config["poison_factor"] > 0 and config["poison_size"] == 0:
        raise InputError(
            f"poison_factor={config['poison_factor']} needs a poison set, but poison_size=0; set poison_size"
        )
    check_model(config)
    if not config["sync_batch_norm"] and config["hardware"]["processes"] in (None, 1):
        raise InputError(
            "sync_batch_norm=false needs the number of processes, which changes the numbers then; name it in "
            "hardware=ddp hardware.processes=N"
        )
    if config["hardware"]["compile"] and config["hardware"]["processes"] != 1:
        raise InputError("hardware.compile=true compiles one process alone; leave out one of both")
    if config["start"]["epoch"] is not None and config["start"]["run"] is None:
        raise InputError(f"start.epoch={config['start']['epoch']} is an epoch of no run; set start.run")
    if config["augment"] and config["data"]["name"] in POINTS:
        raise InputError(f"augment=true crops images, and {config['data']['name']} has points")
    if config["optim"].get("nesterov") and not config["optim"]["momentum"]:
        raise InputError("optim.nesterov=true needs a momentum, but optim.momentum=0; set optim.momentum")
    check_measures(config["measure"])


def check_measures(measures: Mapping[str, Any]) -> None:
    """Rules that tie the settings of a measure.

    Raises:
        InputError: The setting that contradicts itself or another.
    """
    if not measures:
        raise InputError("measure=[] is empty; name at least one, for instance measure=[error]")
    for path, value in flatten(measures).items():
        twice = isinstance(value, list) and len(set(value)) < len(value)
        if twice and not path.endswith((".rho", ".norm")):
            raise InputError(f"measure.{path}={value} names a value twice; each gives rows of its own")
    adaptive = measures.get("adaptive_sharpness")
    if adaptive and len(adaptive["rho"]) != len(adaptive["norm"]):
        raise InputError(
            f"measure.adaptive_sharpness.rho={adaptive['rho']} needs one number for each of "
            f"measure.adaptive_sharpness.norm={adaptive['norm']}"
        )
    basin = measures.get("basin")
    if basin and basin["min_radius"] >= basin["max_radius"]:
        raise InputError(
            f"measure.basin.min_radius={basin['min_radius']} must be below "
            f"measure.basin.max_radius={basin['max_radius']}"
        )


def check_model(config: Mapping[str, Any]) -> None:
    """Whether the network can take what the data set has, and has what is to be reparametrised.

    Raises:
        InputError: Classes, points or images that it cannot take, or no batch norm.
    """
    model, data = config["model"], config["data"]["name"]
    if is_own(model):
        return  # it is tried on a few examples instead
    name, is_mlp = model["name"], model["_target_"].startswith("gensweep.models.mlp.")
    if model.get("single_logit") and data not in TWO_CLASSES:
        raise InputError(f"model.single_logit=true needs two classes, and {data} has more")
    if data in POINTS and not is_mlp:
        raise InputError(f"model={name} takes images, and {data} has points; choose model=mlp")
    if PIXELS.get(data, least_side(model)) < least_side(model):
        raise InputError(
            f"model={name} halves images until nothing is left of {PIXELS[data]} pixels ({data}); "
            f"it needs {least_side(model)}"
        )
    normed = not is_mlp and any(model.get(key, True) for key in ("conv_norm", "hidden_norm"))
    asked = {
        "reparametrise=batch_norm": config["reparametrise"] == "batch_norm",
        "reestimate_batch_norm=true": config["reestimate_batch_norm"],
    }
    for setting in (setting for setting, wanted in asked.items() if wanted and not normed):
        raise InputError(f"{setting} needs batch norm, and {name} has none; choose model=cnn")


def least_side(model: Mapping[str, Any]) -> int:
    """Pixels that an image needs to survive the network's pools."""
    if "blocks" in model:
        return 2 ** (len(model["blocks"]) - 1) * model["last_pool"]
    return 32 if "with_dropout" in model else 1  # Keskar's C2 and C4 have five pools
