"""Granulated rank correlation: one knob moves, all others stay; does a measure follow the gap? No torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from gensweep.claims.statistic import LEAST, RESAMPLES, Estimate, kendall, wilson

LEAST_PAIRS = 5  # of an environment, before its errors are counted


class Worst(NamedTuple):
    """The environment in which a measure orders pairs of runs wrongly most often.

    Args:
        knob: What moves in it, or "" where no environment has enough pairs.
        error: The share of pairs, with Wilson's interval; the worst of several is worse than that by chance.
    """

    knob: str
    error: Estimate


def groups(runs: pd.DataFrame, knob: str, alike: Sequence[str]) -> list[pd.DataFrame]:
    """The runs that differ in this knob and in no other that is to be alike; groups of one are left out."""
    others = [k for k in alike if k != knob]
    keys = [runs[k].astype(str) for k in others]
    found = [part for _, part in runs.groupby(keys, sort=True)] if keys else [runs]
    return [part for part in found if part[knob].astype(str).nunique() > 1]


def psi(runs: pd.DataFrame, knob: str, alike: Sequence[str]) -> np.ndarray:
    """Kendall's τ of ``value`` and ``gap`` within each group of one knob, (G,); a constant side counts 0."""
    parts = groups(runs, knob, alike)
    found = [kendall(p[["value"]].to_numpy().T, p[["gap"]].to_numpy().T)[0] for p in parts]
    return np.nan_to_num(np.array(found, dtype=float))


def interval(taus: Sequence[np.ndarray]) -> Estimate:
    """The mean over knobs of the mean over their groups, and its interval, which resamples the groups.

    Args:
        taus: Of each knob, τ of its groups.

    Source: Jiang et al. 2020 (1912.02178), eqs. 4–5, where each knob counts once.
    """
    taus = [t for t in taus if len(t)]
    n = sum(map(len, taus))
    if not n:
        return Estimate(np.nan, np.nan, np.nan, n)
    middle = round(float(np.mean([t.mean() for t in taus])), 12)
    if n < LEAST:
        return Estimate(middle, np.nan, np.nan, n)
    rng = np.random.default_rng(0)
    drawn = np.mean([t[rng.integers(len(t), size=(RESAMPLES, len(t)))].mean(1) for t in taus], axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(middle, round(float(low), 12), round(float(high), 12), n)


def mistakes(runs: pd.DataFrame, knob: str, alike: Sequence[str]) -> np.ndarray:
    """For every pair of runs between which this knob alone moves, whether ``value`` moves against ``gap``.

    Only pairs count whose gaps differ by more than twice the standard error of that difference.
    """
    found = []
    for part in groups(runs, knob, alike):
        for a, b in combinations(part.sort_values(knob).to_dict("records"), 2):
            apart = b["gap"] - a["gap"]
            if abs(apart) > 2 * np.hypot(a["gap_stderr"], b["gap_stderr"]):
                found.append((b["value"] - a["value"]) * apart <= 0)
    return np.array(found, dtype=bool)


def worst(runs: pd.DataFrame, knobs: Sequence[str], alike: Sequence[str]) -> Worst:
    """The largest sign error over knobs with enough pairs.

    Source: Dziugaite et al. 2020 (2010.11924), §4: a measure is as good as in its worst environment.
    """
    errors = {knob: mistakes(runs, knob, alike) for knob in knobs}
    found = [
        Worst(knob, wilson(int(wrong.sum()), len(wrong)))
        for knob, wrong in errors.items()
        if len(wrong) >= LEAST_PAIRS
    ]
    nothing = Worst("", Estimate(np.nan, np.nan, np.nan, 0))
    return max(found, key=lambda w: (w.error.value, w.error.n), default=nothing)
