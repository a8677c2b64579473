"""The points of a grid: command lines that name one run each. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from gensweep.errors import InputError
from gensweep.sweep.trusted import KEY
from gensweep.sweep.words import as_text

MOST_VALUES = 10_000  # in one range of a grid


def typed(overrides: Sequence[str]) -> list[Override]:
    """The overrides; ``scale=`` works with and without Hydra's plus, names of runs without quotes."""
    return parsed([f"+{o}" if o.startswith("scale=") else as_text(o) for o in overrides])


def parsed(overrides: Sequence[str]) -> list[Override]:
    """As Hydra understands them.

    Raises:
        InputError: It does not.
    """
    try:
        return OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        first = str(error).splitlines()[0]
        hint = "quote a value with spaces, commas or foreign letters twice: \"outputs='my runs'\""
        raise InputError(f"cannot read the command line: {first}; {hint}") from None


def without_sweeps(words: Sequence[Override]) -> tuple[str, ...]:
    """Those that have one value."""
    return tuple(o.input_line or "" for o in words if not o.is_sweep_override())


def refuse_sweeps(words: Sequence[Override]) -> None:
    """Refuse several values where one run is asked for."""
    for override in words:
        if override.is_sweep_override():
            raise InputError(f"{override.input_line} names several values; add -m to sweep over them")


def grid(hydra_part: Mapping[str, Any], words: Sequence[Override]) -> list[list[str]]:
    """The points of the grid: the experiment's own, then those of its scale, then the command line's.

    A scale may have several grids, one after the other.

    Raises:
        InputError: It has no such scale, or a range is too long.
    """
    sweeper = hydra_part["sweeper"]
    scale, scales = sweeper["scale"], sweeper["scales"]
    if scales and scale not in scales:
        raise InputError(f"scale={scale}: this experiment has {', '.join(scales)}")
    arms = scales.get(scale, {})
    if arms == []:
        raise InputError(f"scale={scale}: the list of grids is empty; write KEY: VALUES, or {{}} for one run")
    return [
        point
        for arm in (arms if isinstance(arms, list) else [arms])
        for point in _points({**sweeper["params"], **_mapping(arm, scale)}, words)
    ]


def _mapping(arm: Any, scale: str) -> dict[str, Any]:
    if not isinstance(arm, dict):
        raise InputError(f"scale={scale}: {arm} is no grid; write overrides and their values, KEY: VALUES")
    return arm


def _points(params: Mapping[str, Any], words: Sequence[Override]) -> list[list[str]]:
    own = parsed([f"{k}={v}" for k, v in params.items()])
    for key in (KEY, "outputs", "data_dir"):
        if any(o.key_or_group.partition(".")[0] == key for o in own):
            raise InputError(f"{key} stands in the grid of a yaml file; write it on the command line")
    overrides = [*own, *words]
    for override in overrides:
        if override.key_or_group == "outputs" and override.is_sweep_override():
            raise InputError(f"{override.input_line} names several folders; all runs of a sweep lie in one")
    return expanded(overrides)


def expanded(overrides: list[Override]) -> list[list[str]]:
    """Every combination of the values that they name.

    Raises:
        InputError: A range is too long.
    """
    for override in overrides:  # expanding first would take all memory
        span = override.value()
        if isinstance(span, RangeSweep) and _length(span) > MOST_VALUES:
            raise InputError(
                f"{override.input_line} is {_length(span):,.0f} runs; {MOST_VALUES:,} is the most"
            )
    try:
        return BasicSweeper.split_arguments(overrides, None)[0]
    except HydraException as error:
        raise InputError(str(error).splitlines()[0]) from None


def _length(span: RangeSweep) -> float:
    assert span.start is not None
    assert span.stop is not None
    return (span.stop - span.start) / span.step


def experiment(hydra_part: Mapping[str, Any]) -> str | None:
    """NAME-SCALE, which becomes the name of a file."""
    chosen, scale = hydra_part["runtime"]["choices"].get("experiment"), hydra_part["sweeper"]["scale"]
    if not chosen or chosen == "null":
        return None
    name = f"{chosen}-{scale}"
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(
            f"experiment={chosen} at scale={scale}: name both by letters, digits, dots and dashes"
        )
    return name
