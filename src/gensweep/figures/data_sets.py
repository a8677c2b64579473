"""The runs of a table by data set, one panel or column of panels each. No torch."""

from __future__ import annotations

import pandas as pd

from gensweep.errors import InputError
from gensweep.figures.base import vary

TITLES = {
    "swissroll": "swiss roll",
    "svhn": "SVHN",
    "cifar10": "CIFAR-10",
    "mnist": "MNIST",
    "digits": "digits",
}


def by_data(table: pd.DataFrame, *knobs: str) -> dict[str, pd.DataFrame]:
    """Data set → its rows, in each of which no knob but these and ``seed`` moves; toys come first.

    Raises:
        InputError: Another knob moved among the runs of one data set; see `vary`.
    """
    if "data.name" not in table:
        raise InputError("the table has no column data.name, which says what was trained on")
    found = {str(name): rows for name, rows in table.groupby("data.name")}
    for rows in found.values():
        vary(rows, *knobs)
    return dict(sorted(found.items(), key=lambda item: (item[0] not in ("swissroll", "spirals"), item[0])))


def title(name: str) -> str:
    """What a data set is called over a panel.

    >>> title("svhn"), title("mine")
    ('SVHN', 'mine')
    """
    return TITLES.get(name, name)


def labelled(name: str, several: bool) -> str:
    """The beginning of a key or sentence about one data set; empty where there is no other."""
    return f"{title(name)}: " if several else ""
