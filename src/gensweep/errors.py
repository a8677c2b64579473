"""The ways a command can end that are nobody's bug."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(Exception):
    """The user asked for something that cannot be had: exit code 2, one sentence, nothing created."""


class Busy(Exception):
    """Another process holds the run: exit code 75, try again later."""


class Declined(Exception):
    """A person was asked and said no: exit code 130, nothing created."""


def close_match(word: str, known: Iterable[str]) -> str:
    """The hint that ends an error sentence about an unknown name.

    >>> close_match("posion_factor", ["poison_factor", "seed"])
    'did you mean poison_factor?'
    >>> close_match("x", ["seed", "data"])
    'known: data, seed'
    >>> close_match("x", map(str, range(99)))
    'see `gensweep run --cfg job`'
    """
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=2, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"known: {', '.join(names)}" if len(names) <= 30 else "see `gensweep run --cfg job`"
