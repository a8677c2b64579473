"""What a measure has found out so far, kept so that one that is killed goes on where it was.

A measure asks its questions in an order that depends on the solution, its settings and earlier answers
alone: the n-th answer of a measure that was killed is the n-th answer of the one that goes on. Answers are
kept in blocks of a second of work. Outside a run nothing is kept, and every answer is worked out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gensweep.ranks import current

EVERY = 1.0  # seconds of work that a kill may cost; smaller blocks would cost more than they save


class Blocks:
    """The answers of one measure of one run; rank 0 keeps them, and all go by what it has kept.

    Args:
        folder: For these answers alone.
        write: Puts bytes at a path in one step.
        say: Takes how far the measure is, at every block.
    """

    def __init__(
        self, folder: Path, write: Callable[[Path, bytes], None], say: Callable[[str], None]
    ) -> None:
        self.folder, self.write, self.say, self.ranks = folder, write, say, current()
        answers, self.earlier = self.ranks.agreed(read(folder) if self.ranks.writes else None)
        self.kept: deque[Any] = deque(answers)
        self.count, self.fresh, self.since = 0, list[Any](), time.monotonic()

    def answer(self, compute: Callable[[], Any], total: int | None) -> Any:
        """The next answer, from the blocks as long as they last."""
        self.count += 1
        if self.kept:
            return self.kept.popleft()
        self.fresh.append(compute())
        found = self.fresh[-1]
        if time.monotonic() - self.since >= EVERY:
            self.keep()
            self.say(f"{self.count}/{total}" if total else str(self.count))
        return found

    def keep(self) -> None:
        """Put the new answers into a block of their own, named by the number of answers before it."""
        now = time.monotonic()
        if self.ranks.writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            content = json.dumps([self.fresh, now - self.since]).encode()
            self.write(self.folder / str(self.count - len(self.fresh)), _seal(content) + content)
        self.fresh, self.since = [], now


def read(folder: Path) -> tuple[list[Any], float]:
    """All answers up to the first block that is missing or damaged, and the seconds that they took."""
    answers: list[Any] = []
    seconds = 0.0
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError, RecursionError):
        while (raw := (folder / str(len(answers))).read_bytes())[:64] == _seal(raw[64:]):
            more, took = json.loads(raw[64:])
            answers, seconds = answers + more, seconds + took
    return answers, seconds


def _seal(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


_current: Blocks | None = None


def remembered(compute: Callable[..., Any], *arguments: Any, total: int | None = None) -> Any:
    """What ``compute`` gives for these arguments, or gave before the measure was killed.

    Args:
        compute: Gives numbers, texts and lists of them, and leaves nothing else changed.
        arguments: Of ``compute``.
        total: How many such questions the measure asks in all, where that is known.
    """
    return compute(*arguments) if _current is None else _current.answer(partial(compute, *arguments), total)


@contextlib.contextmanager
def kept_in(blocks: Blocks) -> Iterator[Blocks]:
    """Keep the answers of the measure that runs inside."""
    global _current
    _current = blocks
    try:
        yield blocks
    finally:
        _current = None
