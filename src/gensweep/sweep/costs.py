"""What runs will cost, from what like runs of the same store took. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from gensweep.data.corrupt import check_sizes
from gensweep.sweep.identity import fingerprint, science
from gensweep.sweep.spoken import count
from gensweep.table.history import Past
from gensweep.train.budget import limits

MEASURED, SCALED, PROBE = "measured", "scaled", "probe"
# A training so many times longer than one that was timed is not judged by it: its start is another share.
FARTHEST = 20.0
# Settings of the optimiser and others that move numbers, and no work from one step to another.
_FREE = ("seed", "data_seed", "random_labels", "reparametrise", "start", "reestimate_batch_norm")
_BUDGET = ("max_epochs", "max_steps", "target_loss", "match", "keep", "check_every")


@dataclass(frozen=True)
class Cost:
    """How long something takes.

    Args:
        seconds: Median of what was timed.
        spread: Standard deviation, seconds; NaN for one time alone.
        times: How many were timed.
        source: Where from: ``measured``, ``scaled`` or ``probe``.
        at_least: Whether it was cut off, and takes longer.
    """

    seconds: float
    spread: float
    times: int
    source: str
    at_least: bool = False


@dataclass(frozen=True)
class Costs:
    """What is known about the cost of a job.

    Args:
        train: Its training; None when nobody knows.
        measures: Shard → its measure.
    """

    train: Cost | None
    measures: Mapping[str, Cost | None]


def kind(config: Mapping[str, Any], budget: bool = False) -> str:
    """A name that configs share whose steps cost the same; with ``budget`` the whole training does.

    >>> from gensweep.sweep.plan import point
    >>> one, other = point(("seed=1", "optim.lr=0.1")).config, point(("budget.max_epochs=3",)).config
    >>> kind(one) == kind(other), kind(one, budget=True) == kind(other, budget=True)
    (True, False)
    """
    whole = science(config) if "hardware" in config else dict(config)
    kept = {k: v for k, v in whole.items() if k not in _FREE}
    kept["poison_factor"] = bool(whole["poison_factor"])
    kept["clip_norm"] = whole["clip_norm"] is not None
    kept["optim"] = whole["optim"]["_target_"]
    if not budget:
        kept = {k: v for k, v in kept.items() if k not in ("budget", "schedule")}
        kept["budget"] = {k: v for k, v in whole["budget"].items() if k not in _BUDGET}
    return fingerprint(kept)


def kinds(config: Mapping[str, Any]) -> tuple[str, str] | None:
    """Both names of a stored config; None when it is not one that today's code would write."""
    try:
        return kind(config), kind(config, budget=True)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def updates(config: Mapping[str, Any], examples: int) -> int:
    """Updates of a training at most.

    Args:
        config: Whole.
        examples: Clean ones, train and confusion set together.
    """
    batch = config["batch_size"]
    ends = limits(config["budget"], examples, batch, config["schedule"]["reference_batch"])
    most = ends["max_epochs"] * math.ceil(examples / batch)
    return min(most, ends["max_steps"] or most)


def epochs(config: Mapping[str, Any], examples: int) -> float:
    """Epochs of a training at most; the last may be a part of one."""
    return updates(config, examples) / math.ceil(examples / config["batch_size"])


def examples(config: Mapping[str, Any]) -> int:
    """Clean examples that a config trains on, all that are left where it names no number."""
    from hydra.utils import instantiate

    available = instantiate(config["data"]).pool(Path(config["data_dir"]))
    sizes = config["train_size"], config["confusion_size"], config["poison_size"]
    return check_sizes(available, *sizes, name=config["data"]["name"]) + config["confusion_size"]


class Ledger:
    """What runs of a store took, to be asked about others.

    Args:
        past: Those runs.
    """

    def __init__(self, past: Sequence[Past]) -> None:
        named = [(p, kinds(p.science)) for p in past]
        self.past = [(p, *names) for p, names in named if names]

    def costs(self, config: Mapping[str, Any], shards: Iterable[str]) -> Costs:
        """The cost of one job by those of like runs.

        Args:
            config: Whole.
            shards: Those that its measures will write.
        """
        mine, hardware = kind(config), config["hardware"]
        same = [(p, whole) for p, steps, whole in self.past if steps == mine and _same_place(p, hardware)]
        return Costs(_training(config, same), {shard: _measure(shard, same) for shard in shards})


Like = Sequence[tuple[Past, str]]


def _same_place(past: Past, hardware: Mapping[str, Any]) -> bool:
    if past.place is None:
        return True
    processes, threads, accelerator = past.place
    alike = hardware["threads"] == threads and hardware["processes"] in (None, processes)
    return alike and hardware["accelerator"] in ("auto", accelerator)


def _training(config: Mapping[str, Any], same: Like) -> Cost | None:
    timed = [(p, w) for p, w in same if p.outcome["train_seconds"] is not None and p.outcome["updates"]]
    whole = kind(config, budget=True)
    like = [p.outcome["train_seconds"] for p, w in timed if w == whole]
    if like or not timed:
        return _cost(like, MEASURED) if like else None
    will_be = updates(config, examples(config))
    factors = [(p, will_be / p.outcome["updates"]) for p, _ in timed]
    scaled = [p.outcome["train_seconds"] * f for p, f in factors if 1 / FARTHEST <= f <= FARTHEST]
    return _cost(scaled, SCALED) if scaled else None


def _measure(shard: str, same: Like) -> Cost | None:
    found = [p.shards[shard] for p, _ in same if shard in p.shards]
    return _cost(found, MEASURED) if found else None


def _cost(seconds: Sequence[float], source: str) -> Cost:
    spread = statistics.stdev(seconds) if len(seconds) > 1 else math.nan
    return Cost(statistics.median(seconds), spread, len(seconds), source)


def told(sources: Mapping[str, int]) -> str:
    """Where numbers come from, in words.

    Args:
        sources: Source → how many were timed.

    >>> told({MEASURED: 9, PROBE: 1})
    'measured on 9 runs of this store, estimate from a probe'
    """
    words = {
        MEASURED: "measured on {} of this store",
        SCALED: "{} of this store, scaled by updates",
        PROBE: "estimate from a probe",
    }
    return ", ".join(words[s].format(count(sources[s], "run")) for s in words if s in sources)


def rough(config: Mapping[str, Any], examples: int) -> float:
    """Work of a training in arbitrary units, from its config alone: updates × batch × parameters."""
    return float(updates(config, examples) * config["batch_size"] * size(config["model"]))


def size(model: Mapping[str, Any]) -> int:
    """About how many parameters, as far as the settings of a network tell; only for putting in order.

    >>> size({"widths": [256, 256]}) > size({"widths": [32]}) > size({})
    True
    >>> size({"depth": 56, "width": 16}) > size({"depth": 20, "width": 16})
    True
    """
    widths = [_flat(model[key]) for key in ("blocks", "hidden", "widths") if isinstance(model.get(key), list)]
    chain = [64, *(w for part in widths for w in part), 10]
    dense = sum(a * b for a, b in pairwise(chain)) if widths else 1
    return dense + _number(model, "depth") * (_number(model, "channels") * _number(model, "width")) ** 2


def _flat(value: Any) -> list[int]:
    if isinstance(value, list):
        return [w for member in value for w in _flat(member)]
    return [value] if isinstance(value, int) else []


def _number(model: Mapping[str, Any], key: str) -> int:
    value = model.get(key)
    return value if isinstance(value, int) else 1
