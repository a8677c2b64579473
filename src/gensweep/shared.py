"""A stored run seen by several processes: one writes, all of them decide alike."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gensweep.errors import Busy
from gensweep.ranks import Ranks
from gensweep.table.store import Run


@dataclass(frozen=True)
class SharedRun(Run):
    """The folder of a run: rank 0 writes to it, and what it finds there is what all of them go by.

    Args:
        ranks: This process among those that share the run.
    """

    ranks: Ranks

    @contextlib.contextmanager
    def claimed(self) -> Iterator[None]:
        """Held by rank 0 for all.

        Raises:
            Busy: In every process, when somebody else holds it.
        """
        with contextlib.ExitStack() as held:
            refusal = ""
            if self.ranks.writes:
                try:
                    held.enter_context(super().claimed())
                except Busy as error:
                    refusal = str(error)
            refusal = self.ranks.agreed(refusal)
            if refusal:
                raise Busy(refusal)
            yield

    def commit(self, files: Mapping[str, bytes]) -> None:
        """Written by rank 0; there for all when this returns."""
        if self.ranks.writes:
            super().commit(files)
        self.ranks.agreed(None)

    def forget_damaged(self) -> list[str]:
        """Struck by rank 0."""
        return self.ranks.agreed(super().forget_damaged() if self.ranks.writes else [])

    def has(self, *names: str) -> bool:
        """As rank 0 sees it."""
        return self.ranks.agreed(self.ranks.writes and super().has(*names))

    def set_state(self, state: str, *, progress: str = "", reason: str = "") -> None:
        """Said by rank 0."""
        if self.ranks.writes:
            super().set_state(state, progress=progress, reason=reason)


def shared(run: Run, ranks: Ranks) -> Run:
    """The run as it is to be used by these processes."""
    return SharedRun(run.folder, ranks) if ranks.several else run
