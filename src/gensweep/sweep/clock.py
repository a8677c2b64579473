"""How long a run may take for its training, and for each of its measures."""

from __future__ import annotations

import time

from gensweep.table.store import Run


class Clock:
    """Begins anew whenever the run comes to another station, as it says itself.

    Args:
        run: That is under way.
        limit: Seconds for each station; None for no limit.
    """

    def __init__(self, run: Run, limit: float | None) -> None:
        self.run, self.limit = run, limit
        self.station, self.since = "", time.monotonic()

    def late(self) -> str:
        """What took too long; empty while nothing has."""
        if self.limit is None:
            return ""
        station = self._station()
        if station != self.station:
            self.station, self.since = station, time.monotonic()
        if time.monotonic() - self.since <= self.limit:
            return ""
        return (
            f"{self.station} took longer than hardware.time_limit={self.limit:g} s; the same command goes on "
            "where it was, with a new limit"
        )

    def _station(self) -> str:
        state = self.run.state()
        if state["state"] != "measuring":
            return "training"
        return f"measuring {state['progress'].partition(' ')[0]}"
