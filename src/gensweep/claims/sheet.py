"""Verdicts as lines to read and as a table. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pandas as pd

from gensweep.claims.claim import INCONCLUSIVE, NO_ROWS, NOT_REPRODUCED, REPRODUCED, Verdict


def lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Each claim in three lines, those without any rows in one together, and how many held."""
    for claim, ours, verdict, why in (v for v in verdicts if not v.why.startswith(NO_ROWS)):
        yield f"{verdict.upper():<14} {claim.statement}"
        yield f"{'':<14} ours    {claim.statistic} {ours}; claimed {claim.claimed}{f' ({why})' * bool(why)}"
        yield f"{'':<14} theirs  {claim.theirs} ({claim.source})   [{claim.id}]"
    if empty := [v for v in verdicts if v.why.startswith(NO_ROWS)]:
        experiments = dict.fromkeys(name for v in empty for name in v.claim.experiments)
        yield f"{INCONCLUSIVE.upper():<14} {len(empty)} claims for want of rows of {', '.join(experiments)}"
    yield tally(verdicts)


def tally(verdicts: Sequence[Verdict]) -> str:
    """How many claims held.

    >>> tally([])
    '0 claims: 0 reproduced, 0 not reproduced, 0 inconclusive'
    """
    count = Counter(v.verdict for v in verdicts)
    held = ", ".join(f"{count[name]} {name}" for name in (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE))
    return f"{len(verdicts)} claims: {held}"


def sheet(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """One row per claim."""
    return pd.DataFrame(
        {
            "id": claim.id,
            "figure": claim.figure,
            "statement": claim.statement,
            "source": claim.source,
            "theirs": claim.theirs,
            "statistic": claim.statistic,
            "claimed": claim.claimed,
            "ours": ours.value,
            "low": ours.low,
            "high": ours.high,
            "n": ours.n,
            "verdict": verdict,
            "why": why,
        }
        for claim, ours, verdict, why in verdicts
    )
