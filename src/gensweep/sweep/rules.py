"""What may stand under each setting, and how to say so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

Check = Callable[[Any], Any]
_SHARE = re.compile(r"\d{1,3}(\.\d{1,9})?%", re.ASCII)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(low: int, high: int = 2**63 - 1) -> tuple[Check, str]:
    """A check for integers from ``low`` to ``high``; without one, to what fits into a column of a table."""
    return (
        lambda v: v if isinstance(v, int) and not isinstance(v, bool) and low <= v <= high else None,
        f"a whole number, {low} " + ("or more" if high == 2**63 - 1 else f"to {high}"),
    )


def real(low: float, high: float = math.inf, *, open_low: bool = False) -> tuple[Check, str]:
    """A check for finite numbers in [low, high), or (low, high)."""
    span = f"{'(' if open_low else '['}{low:g}, {high:g})"

    def check(v: Any) -> Any:
        inside = _number(v) and (low < v if open_low else low <= v) and v < high
        return float(v) + 0.0 if inside else None  # −0 is 0

    return check, f"a number in {span}"


def optional(rule: tuple[Check, str]) -> tuple[Check, str]:
    """The same check, or null."""
    return (lambda v: "null" if v is None else rule[0](v)), f"{rule[1]}, or null"


def each(rule: tuple[Check, str], size: int | None = None) -> tuple[Check, str]:
    """The same check for every member of a list that is not empty, or of one with ``size`` members."""

    def check(v: Any) -> Any:
        if not isinstance(v, list) or not v or len(v) != (size or len(v)):
            return None
        members = [rule[0](m) for m in v]
        return None if any(m is None for m in members) else members

    return check, f"a list{f' of {size}' if size else ''}, each of it {rule[1]}"


def either(*rules: tuple[Check, str]) -> tuple[Check, str]:
    """What one of several checks accepts."""
    return (
        lambda v: next((found for rule in rules if (found := rule[0](v)) is not None), None),
        ", or ".join(words for _, words in rules),
    )


def ascending() -> tuple[Check, str]:
    """A check for lists of whole numbers, 1 or more, each above the one before."""

    def check(v: Any) -> Any:
        whole_ones = isinstance(v, list) and v and all(type(m) is int and m >= 1 for m in v)
        return v if whole_ones and v == sorted(set(v)) else None

    return check, "a list of such in ascending order"


def share() -> tuple[Check, str]:
    """A check for text like 10%."""
    return (
        lambda v: v if isinstance(v, str) and _SHARE.fullmatch(v) and 0 < float(v[:-1]) <= 100 else None,
        "a share of the clean examples up to 100%",
    )


def one_of(*words: Any) -> tuple[Check, str]:
    """A check for one of a few words."""
    return (lambda v: v if v in words else None), f"one of {', '.join(map(str, words))}"


def text() -> tuple[Check, str]:
    """A check for text that is not empty."""
    return (lambda v: v if isinstance(v, str) and v else None), "text (a number needs quotes)"


def names() -> tuple[Check, str]:
    """A check for lists of names of Python packages, empty or not."""
    return (
        lambda v: (
            v if isinstance(v, list) and all(isinstance(m, str) and m.isidentifier() for m in v) else None
        ),
        "a list of names of packages",
    )


def switch() -> tuple[Check, str]:
    """A check for true or false; wrapped, since false is a good value."""
    return (lambda v: [v] if isinstance(v, bool) else None), "true or false"


POSITIVE = real(0, open_low=True)
# Dotted path -> what may stand there. A leaf that matches nothing must be text equal to the yaml's own.
RULES: dict[str, tuple[Check, str]] = {
    "seed": whole(0),
    "data_seed": optional(whole(0)),
    "poison_factor": real(0, 1),
    "batch_size": either(whole(1), share()),
    "train_size": optional(whole(1)),
    "confusion_size": whole(0),
    "poison_size": whole(0),
    "random_labels": switch(),
    "augment": switch(),
    "clip_norm": optional(POSITIVE),
    "precision": one_of("float32", "float64", "bfloat16"),
    "sync_batch_norm": switch(),
    "reparametrise": one_of("none", "layer", "neuron", "batch_norm", "permutation"),
    "reestimate_batch_norm": switch(),
    "start.run": optional(text()),
    "start.epoch": optional(whole(0)),
    "trusted_targets": names(),
    "data_dir": text(),
    "outputs": text(),
    "data.points_per_class": whole(1),
    "data.test_points_per_class": whole(1),
    "data.extra_points_per_class": whole(0),
    "data.train_fraction": real(0, 1, open_low=True),
    "data.noise": real(0),
    "data.mirror": switch(),
    "data.download": switch(),
    "model.widths": each(whole(1, 1_000_000)),
    "model.single_logit": switch(),
    "model.width": whole(1, 1024),
    "model.channels": whole(1, 65_536),
    "model.depth": one_of(8, 20, 56, 110),
    "model.shortcuts": switch(),
    "model.blocks": each(each(whole(1, 65_536))),
    "model.hidden": each(whole(1, 1_000_000)),
    "model.conv_norm": switch(),
    "model.hidden_norm": switch(),
    "model.he": switch(),
    "model.last_pool": whole(1, 64),
    "model.with_dropout": switch(),
    "model.dropout": real(0, 1),
    "optim.lr": POSITIVE,
    "optim.momentum": real(0, 1),
    "optim.alpha": real(0, 1),
    "optim.eps": POSITIVE,
    "optim.betas": each(real(0, 1), size=2),
    "optim.nesterov": switch(),
    "optim.weight_decay": real(0),
    "schedule.shape": one_of("constant", "step", "cosine"),
    "schedule.milestones": each(real(0, 1, open_low=True)),
    "schedule.decay": real(0, 1, open_low=True),
    "schedule.batch_rule": one_of("fixed", "sqrt", "linear"),
    "schedule.reference_batch": whole(1),
    "budget.max_epochs": whole(1),
    "budget.max_steps": optional(whole(1)),
    "budget.target_loss": optional(POSITIVE),
    "budget.match": one_of("epochs", "updates"),
    "budget.check_every": whole(1),
    "budget.keep": optional(either(whole(1), ascending())),
    "hardware.accelerator": one_of("cpu", "cuda", "auto"),
    "hardware.processes": optional(whole(1, 128)),
    "hardware.threads": whole(1, 1024),
    "hardware.jobs": whole(1, 1024),
    "hardware.time_limit": optional(POSITIVE),
    "hardware.order": one_of("cheapest", "given"),
    "hardware.stack": whole(1),
    "hardware.compile": switch(),
    "logger.flush_logs_every_n_steps": whole(1),
    "logger.project": text(),
    "logger.offline": switch(),
    "measure.*.quantiles": each(real(0, 1.0000001)),
    "measure.*.epsilon": each(POSITIVE),
    "measure.*.subspace": optional(whole(1)),
    "measure.*.cutoffs": each(POSITIVE),
    "measure.*.scale": each(POSITIVE),
    "measure.*.scales": each(POSITIVE),
    "measure.*.rho": each(POSITIVE),
    "measure.*.norm": each(one_of("l2", "linf")),
    "measure.*.block": optional(whole(1)),
    "measure.*.draws": whole(4),
    "measure.*.tolerated": switch(),
    "measure.*.steps": whole(1),
    "measure.*.starts": whole(1),
    "measure.*.top": whole(1),
    "measure.*.probes": whole(1),
    "measure.*.points": whole(2),
    "measure.*.scan_points": whole(2),
    "measure.*.span": POSITIVE,
    "measure.interpolation.batch_norm": one_of("interpolated", "fixed", "reestimated", "batch"),
    "measure.*.batch_norm": one_of("fixed", "reestimated", "batch"),
    "measure.*.beyond": whole(0),
    "measure.*.other": text(),
    "measure.*.perplexity": POSITIVE,
    "measure.*.path": (lambda v: v if v == [] else None, "[]: models can be given in Python only"),
    "measure.*.ends": (
        lambda v: v if isinstance(v, list) and all(isinstance(m, str) and m for m in v) else None,
        "a list of runs, such as 'with start.epoch=range(0,2000,10)' in a sweep, or []",
    ),
    "measure.*.reach": POSITIVE,
    "measure.*.relative": switch(),
    "measure.*.directions": whole(1),
    "measure.*.metric": one_of("filter", "layer", "euclidean"),
    "measure.*.pooling": one_of("sum", "max"),
    "measure.*.biases": switch(),
    "measure.*.min_radius": POSITIVE,
    "measure.*.max_radius": POSITIVE,
    "measure.*.sigma": POSITIVE,
    "measure.*.particles": whole(10),
    "measure.*.moves": whole(1),
    "measure.*.replicates": whole(0),
    "measure.*.examples": optional(whole(2)),
    "measure.*.floor": real(0),
    "measure.*.gamma": POSITIVE,
    "measure.*.chains": whole(4),
    "measure.*.rank": whole(0),
    "measure.*.logit_normalised": switch(),
}


def rule_for(path: str) -> tuple[Check, str] | None:
    """The rule for a dotted path, if it has one."""
    return next((rule for pattern, rule in RULES.items() if fnmatch(path, pattern)), None)
