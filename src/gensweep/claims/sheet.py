"""Verdicts as lines to read and as a table. No torch."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from gensweep.claims.claim import INCONCLUSIVE, NO_ROWS, NOT_REPRODUCED, REPRODUCED, Verdict
from gensweep.errors import InputError


def lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Each claim in three lines, those without any rows in one together, and how many held."""
    for found in (v for v in verdicts if not v.why.startswith(NO_ROWS)):
        claim, why = found.claim, f" ({found.why})" * bool(found.why)
        yield f"{found.verdict.upper():<14} {claim.statement}"
        yield f"{'':<14} ours    {found.statistic} {found.ours}; claimed {claim.claimed}{why}"
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
            "within": claim.within or "",
            "groups": groups,
            "claimed": claim.claimed,
            "ours": ours.value,
            "low": ours.low,
            "high": ours.high,
            "n": ours.n,
            "verdict": verdict,
            "why": why,
        }
        for claim, ours, verdict, why, groups in verdicts
    )


def check_place(path: Path) -> None:
    """Find out before anything is judged that the verdicts cannot be written there.

    Raises:
        InputError: It is no name of a CSV file, or its folder, or the nearest one above it, takes no files.
    """
    if path.is_dir():
        raise InputError(f"-o {path} is a folder; name a file in it")
    if path.suffix.lower() != ".csv":
        raise InputError(f"-o {path}: the verdicts are written as CSV; give a name that ends in .csv")
    place = path.absolute().parent
    while not os.path.lexists(place):
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        why = f"{place} takes no files ({error.strerror})"
        raise InputError(f"-o {path}: {why}; choose another place") from None
