"""The claims as they stand in the yaml files of this folder. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from gensweep.claims import units
from gensweep.claims.claim import Claim, span
from gensweep.claims.statistic import STATISTICS
from gensweep.errors import InputError


def claims(folder: Path = Path(__file__).parent) -> list[Claim]:
    """All claims of the yaml files in a folder.

    Raises:
        InputError: One is not written as `Claim` says, or two have one name.
    """
    found = [read(entry, path) for path in sorted(folder.glob("*.yaml")) for entry in _entries(path)]
    names = [claim.id for claim in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{folder}: two claims are called {twice[0]}")
    return found


def _entries(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or []


def read(entry: Any, path: Path) -> Claim:
    """A claim from its entry in a yaml file.

    Raises:
        InputError: What is wrong with it.
    """
    where = f"{path.name}, claim {entry.get('id') if isinstance(entry, dict) else entry}"
    if not isinstance(entry, dict):
        raise InputError(f"{where}: an entry has keys, id and figure and the rest")
    if odd := sorted(map(str, entry.keys() - {f.name for f in fields(Claim)})):
        raise InputError(f"{where}: {odd[0]} is no part of a claim")
    try:
        claim = Claim(**{**entry, "theirs": str(entry.get("theirs"))})  # yaml may take it for a number
    except TypeError as error:
        raise InputError(f"{where}: {str(error).partition(') ')[2]}") from None
    for wrong in (words for words, true in _faults(claim) if true):
        raise InputError(f"{where}: {wrong}")
    span(claim.claimed)
    return claim


def _faults(claim: Claim) -> Iterator[tuple[str, bool]]:
    """What may be wrong with a claim, and whether it is; later questions rely on the earlier ones."""
    for name in ("id", "figure", "source", "statement", "statistic", "claimed"):
        yield f"{name} is no text", not isinstance(getattr(claim, name), str)
    yield "experiment is neither a name nor a list", not isinstance(claim.experiment, str | list)
    yield "reached is neither true nor false", not isinstance(claim.reached, bool)
    yield "where is no mapping of knobs", not isinstance(claim.where, dict | None)
    yield "pair is no list of knobs", not isinstance(claim.pair, list | None)
    for spec in [claim.y, *([claim.x] if isinstance(claim.x, dict) else [])]:
        yield "y and x pick rows by columns", not isinstance(spec, dict)
        yield "y and x name measure and quantity", not {"measure", "quantity"} <= {*spec}
        yield f"y and x know {', '.join(units.SPEC)}", bool(spec.keys() - {*units.SPEC})
        how = spec.get("reduce", "mean")
        yield f"reduce={how} is none of {', '.join(units.REDUCE)}", how not in units.REDUCE
        yield "minus is no mapping of columns", not isinstance(spec.get("minus", {}), dict)
    yield "contrast is no mapping of knobs", not isinstance(claim.contrast, dict | None)
    pairs = (claim.contrast or {}).values()
    yield "contrast has two values for each knob", any(not isinstance(p, list) or len(p) != 2 for p in pairs)
    yield f"statistic={claim.statistic} is none of {', '.join(STATISTICS)}", claim.statistic not in STATISTICS
    correlates = claim.statistic in ("spearman", "kendall")
    yield "a correlation needs x, and nothing else takes one", correlates != (claim.x is not None)
