"""Runs that one of the same sweep goes to, named by what they differ in: ``with KEY=VALUE …``. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

from gensweep.errors import InputError
from gensweep.sweep.grid import expanded, parsed

WORD = "with "
THIS = "start.run=this"  # in a reference: of the run that refers
OWN = ("start", "measure")  # of the run that refers alone: where the other began is not where this one did


def refers(value: Any) -> TypeGuard[str]:
    """Whether a value on a command line stands for other runs.

    >>> refers("with batch_size=256"), refers("init")
    (True, False)
    """
    return isinstance(value, str) and value.startswith(WORD)


def settled(
    words: Sequence[str], run_id: Callable[[tuple[str, ...], tuple[str, ...]], str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A command line with the names of runs in place of its references, and these names.

    Args:
        words: The overrides of one run.
        run_id: The name of the run of a command line, given the names of runs that it may count on.

    Raises:
        InputError: A reference cannot be read, or changes nothing.
    """
    line, needs = [], list[str]()
    for word, override in zip(words, parsed(words), strict=True):
        reference = override.value()
        if not refers(reference):
            line.append(word)
            continue
        needed = (run_id(_unmeasured(words), ()),) if THIS in reference.split() else ()
        others = _others(words, reference.replace(THIS, f"start.run='{''.join(needed)}'"))
        found = [run_id(other, needed) for other in others]
        if not found or not reference.removeprefix(WORD).strip():
            raise InputError(f"{word}: name what the other run differs in, as in 'with batch_size=256'")
        names = ",".join(f"'{name}'" for name in found)
        key = override.get_key_element()
        line.append(f"{key}={names}" if len(found) == 1 and not key.endswith("ends") else f"{key}=[{names}]")
        needs += found
    return tuple(line), tuple(dict.fromkeys(needs))


def _others(words: Sequence[str], reference: str) -> list[tuple[str, ...]]:
    """The command lines of the runs that a reference stands for."""
    instead = reference.removeprefix(WORD).split()
    keys = {_key(word) for word in instead}
    kept = [w for w in words if _key(w) not in keys and _key(w).partition(".")[0] not in OWN]
    return [tuple(point) for point in expanded(parsed([*kept, *instead]))]


def _unmeasured(words: Sequence[str]) -> tuple[str, ...]:
    """The command line without its measures, which are no part of a run's name."""
    return tuple(word for word in words if _key(word).partition(".")[0] != "measure")


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")
