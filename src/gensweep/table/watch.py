"""What the runs are doing, followed until nothing is under way. No torch."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gensweep.table.status import Line, cells_of, counts, look, summary, table, wanted
from gensweep.table.store import WORKING

EVERY, QUIET = 1.0, 3.0  # seconds between two looks; without work, after which no more is expected


def follow(outputs: Path, failed: bool) -> int:
    """Show it until nothing has been under way for some seconds; returns the exit code.

    Args:
        outputs: The folder of runs.
        failed: Only runs that did not end well.
    """
    if sys.stdout.isatty():
        from rich.live import Live
        from rich.text import Text

        with Live(auto_refresh=False) as live:

            def draw(found: Sequence[Line]) -> None:
                rows = [*table(wanted(found, failed)), summary(found, outputs)]
                live.update(Text("\n".join(rows)), refresh=True)

            return _until_quiet(outputs, draw)
    return _until_quiet(outputs, Changes(outputs, failed))


class Changes:
    """Prints what was not so at the last look.

    Args:
        outputs: The folder of runs.
        failed: Only runs that did not end well.
    """

    def __init__(self, outputs: Path, failed: bool) -> None:
        self.outputs, self.failed = outputs, failed
        self.said: dict[str, str] = {}

    def __call__(self, found: Sequence[Line]) -> None:
        """Print the runs that changed, and the counts when they did."""
        for line in wanted(found, self.failed):
            row = "  ".join(cell for cell in cells_of(line, ages=False) if cell)
            self._say(line.run_id, row, row)
        self._say("", counts(found), summary(found, self.outputs))

    def _say(self, about: str, now: str, words: str) -> None:
        if self.said.get(about) != now:
            self.said[about] = now
            print(words, flush=True)


def _until_quiet(outputs: Path, tell: Callable[[Sequence[Line]], None]) -> int:
    worked = time.monotonic()
    while True:
        found = look(outputs)
        if any(line.state in WORKING for line in found):
            worked = time.monotonic()
        tell(found)
        if time.monotonic() - worked > QUIET:
            return 0
        time.sleep(EVERY)
