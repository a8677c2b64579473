"""Runs that nobody timed, tried in a process of their own. No torch here."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gensweep.sweep.attempt import die_with_parent
from gensweep.sweep.costs import PROBE, Cost, Costs
from gensweep.sweep.group import prepared
from gensweep.sweep.plan import Job

PATIENCE = 60.0  # seconds without a word, beyond the limits, after which a probe is given up


@dataclass(frozen=True)
class Probed:
    """What a probe found out.

    Args:
        costs: Of training and measures; of those that it came to.
        size: Bytes of two sets of parameters, before and after training.
        memory: Most bytes that its process held.
        failure: Why there is nothing, or not all; empty when there is.
    """

    costs: Costs
    size: int = 0
    memory: int = 0
    failure: str = ""


def probed(job: Job, train: float, measure: float) -> Probed:
    """Try a run for a few seconds; nothing is written.

    Args:
        job: What to try.
        train: Seconds of training, once it is under way.
        measure: Seconds that each measure may take; 0 tries none.
    """
    context = prepared()
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, {"train": train, "measure": measure}, there))
    process.start()
    there.close()
    told: list[dict[str, Any]] = []
    try:
        while here.poll(PATIENCE + max(train, measure)):
            told.append(here.recv())
        failure = f"nothing came of it within {PATIENCE:.0f} s"
    except EOFError:
        failure = ""
    finally:
        process.kill()
        process.join()
    return _found({k: v for part in told if "shard" not in part for k, v in part.items()}, told, failure)


def _found(facts: Mapping[str, Any], told: Sequence[Mapping[str, Any]], failure: str) -> Probed:
    train = _cost(facts["train"] + facts["start"]) if "train" in facts else None
    measures = {part["shard"]: _cost(part["seconds"], part["cut"]) for part in told if "shard" in part}
    failure = facts.get("failure") or failure or ("" if "memory" in facts else "its process died")
    return Probed(Costs(train, measures), facts.get("bytes", 0), facts.get("memory", 0), failure)


def _cost(seconds: float, cut: bool = False) -> Cost:
    return Cost(seconds, math.nan, 1, PROBE, cut)


def merged(known: Costs, found: Costs | None) -> Costs:
    """What is known, and where nothing is, what a probe found."""
    if found is None:
        return known
    measures = {shard: cost or found.measures.get(shard) for shard, cost in known.measures.items()}
    return Costs(known.train or found.train, measures)


def _child(job: Job, limits: Mapping[str, float], pipe: Any) -> None:
    """The life of the process; it dies with its parent."""
    die_with_parent()
    from gensweep.probe import probe

    try:
        probe(job.config, limits, pipe.send)
    except Exception as error:
        pipe.send({"failure": f"{type(error).__name__}: {error}".splitlines()[0]})
    pipe.close()
    os._exit(0)
