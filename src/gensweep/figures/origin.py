"""Which runs, commits and versions stand behind a figure, and what to doubt about it. No torch."""

from __future__ import annotations

import re
from typing import Any

import matplotlib
import numpy as np
import pandas as pd

from gensweep.table.read import VERSIONS


def commits(table: pd.DataFrame) -> list[str]:
    """What is doubtful about the code that made the rows: several commits, or uncommitted changes."""
    said = []
    if len(shas := table["git_sha"].unique()) > 1:
        said.append(
            f"rows of {len(shas)} commits are mixed: {', '.join(sorted(s[:12] or 'unknown' for s in shas))}"
        )
    if (dirty := table["git_dirty"].astype(str).isin(["True", "1", "1.0"])).any():
        said.append(
            f"{table.loc[dirty, 'run_id'].nunique()} runs were made with uncommitted changes in the code"
        )
    return said


def notes(table: pd.DataFrame) -> list[str]:
    """What the runs say about their copy of the data, once each."""
    return sorted(set(table["data_note"].dropna()) - {""})


def in_words(caption: str) -> str:
    """A caption in which a number that is not there, or not finite, is words.

    >>> in_words("from nan% to +inf, ρ = +nan [+nan, +nan]; 3 nanometres")
    'from no number to infinite, ρ = no number; 3 nanometres'
    """
    caption = re.sub(r"[+−-]?\bnan\b( [\[(][+−-]?nan(, |–)[+−-]?nan[\])])?%?", "no number", caption)
    return re.sub(r"[+−-]?\binf\b%?", "infinite", caption)


def provenance(name: str, artist: Any, drawn: pd.DataFrame, table: pd.DataFrame) -> dict[str, Any]:
    """Which runs, commits, versions and filters stand behind the figure, and what to doubt about it."""
    ids = drawn["run_id"].unique() if "run_id" in drawn else table["run_id"].unique()
    used = table[table["run_id"].isin(ids)]

    def values(column: str) -> list[str]:
        return sorted(map(str, used[column].unique()))

    return {
        "figure": name,
        "title": artist.TITLE,
        "alt": artist.ALT,
        "experiment": values("experiment") if "experiment" in used else [],
        "message": in_words(drawn.attrs.get("caption", "")),
        "filters": drawn.attrs.get("filters", {}),
        "n_per_point": drawn.attrs.get("n", {}),
        "points": len(drawn),
        "run_ids": sorted(ids),
        "git_sha": values("git_sha"),
        "versions": {c.removesuffix("_version"): values(c) for c in VERSIONS}
        | {"matplotlib": matplotlib.__version__, "numpy": np.__version__, "pandas": pd.__version__},
        "data_note": notes(used),
        "warnings": commits(used),
    }
