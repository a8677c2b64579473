"""The self-test as a table, and whether everything in it is as it should be."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import chain

import numpy as np
import torch

from gensweep.selftest import curvature, networks, noise, planes, sharpness, volumes
from gensweep.selftest.case import Case, Line, Outcome, tried
from gensweep.selftest.verdict import GOOD

HEAD = (
    ("truth", 9),
    ("mean", 9),
    ("bias", 9),
    ("/se", 7),
    ("stated", 8),
    ("spread", 8),
    ("±1", 4),
    ("±2", 4),
)
LEGEND = """\
bias: mean − truth; /se: in units of its own standard error over the seeds
stated: mean standard error of the rows that are ok; spread: standard deviation over the seeds
±1, ±2: rows with the truth within 1, 2 stated errors, % of those that are ok; – where none is
good: a standard error; ±1, ±2 are 68, 95 up to chance, and chance is large where seeds are few
inside: an interval, which holds the truth; ±1 should be 95 or more
exact: right in every row, up to rounding or a tolerance of the method
lower bound, upper bound: off to that side of the truth, as it says; anything else is out of order"""


def cases() -> Iterator[Case]:
    """All of them."""
    topics = (networks, planes, curvature, sharpness, noise, volumes)
    return chain.from_iterable(topic.cases() for topic in topics)


def selftest(seeds: int) -> int:
    """Print the table while it grows; 0 when all is in order, else 1 with the other lines named last."""
    torch.set_num_threads(1)  # of problems as small as these, two threads would be slower
    begun, count, bad = time.perf_counter(), 0, []
    columns = f"{'':29}" + "".join(f"{word:>{width}}" for word, width in HEAD) + "  verdict"
    print(columns)
    for case in cases():
        outcome = tried(case, seeds)
        print(heading(outcome), *map(text, outcome.lines), sep="\n", flush=True)
        count += len(outcome.lines)
        bad += [
            f"{case.measure}.{line.name} on {case.problem}: {line.verdict}"
            for line in outcome.lines
            if line.verdict not in GOOD
        ]
    print(
        f"\n{columns}\n{LEGEND}\n",
        f"{count} lines in {time.perf_counter() - begun:.0f} s, {len(bad)} out of order",
        *bad,
        sep="\n",
    )
    return 1 if bad else 0


def heading(outcome: Outcome) -> str:
    """The problem, and what one seed costs."""
    units = ("losses", "gradients", "HVPs")
    parts = [f"{round(cost):,} {unit}" for cost, unit in zip(outcome.cost, units, strict=True) if cost]
    seeds = f"{outcome.seeds} seed{'s' * (outcome.seeds > 1)}"
    return f"\n{outcome.case} ({', '.join([seeds, *parts, f'{outcome.seconds:.2g} s'])} each)"


def text(line: Line) -> str:
    """One quantity."""
    ok_K, errors_K = line.ok_K, line.errors_K
    errors_K[np.abs(errors_K) <= line.rounding_K] = 0.0
    spread = float(errors_K.std(ddof=1)) if len(errors_K) > 1 else math.nan
    bias = float(errors_K.mean())
    stated = float(line.stderrs_K[ok_K].mean()) if ok_K.any() else math.nan
    se = spread / math.sqrt(len(errors_K))
    numbers = [
        number(float(np.mean(line.truths))),
        number(float(np.mean(line.truths)) + bias),
        number(bias, 2),
        f"{bias / se:.1f}" if se > 1e-12 else "–",
        number(stated, 2),
        number(spread, 2),
        *(percent(line.covered(width)) if stated > 0 else "–" for width in (1, 2)),
    ]
    cells = "".join(f"{cell:>{width}}" for cell, (_, width) in zip(numbers, HEAD, strict=True))
    return f"  {line.name:27}{cells}  {line.verdict}"


def number(value: float, digits: int = 4) -> str:
    """Few digits; a dash for what is not known or is rounding alone."""
    if math.isnan(value):
        return "–"
    return "0" if abs(value) < 1e-12 else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """Without its sign."""
    return "–" if math.isnan(share) else f"{100 * share:.0f}"
