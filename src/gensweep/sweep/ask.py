"""Before a long sweep starts: is it meant? No torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gensweep.errors import Declined, InputError
from gensweep.place import given
from gensweep.sweep.costs import Costs, examples, kind, rough, told
from gensweep.sweep.forecast import Forecast, forecast
from gensweep.sweep.plan import Job, Plan
from gensweep.sweep.probing import Probed, probed
from gensweep.sweep.spoken import count, span

LONG = 3600.0  # seconds
PROBED_FROM = 10  # runs that nobody timed: what a comma too many makes; fewer start at once
PROBE = 0.5  # seconds of training in it


def confirm(planned: Plan, unfinished: Sequence[Job]) -> None:
    """Ask before more than an hour, as far as one knows.

    Times are those of like runs. Where there are none, and many runs to do, the training of the longest is
    tried for a moment, and stands for those like it alone; so it will be more than is said.

    Args:
        planned: The plan.
        unfinished: Its jobs that are not finished.

    Raises:
        InputError: It would take long, and there is nobody to ask.
        Declined: There is, who said no.
    """
    if not unfinished or given(unfinished[0].config) is not None:
        return
    found = forecast(planned, unfinished)
    untimed = [one.job for one in found.todo if one.training and one.costs.train is None]
    if found.seconds <= LONG and len(untimed) >= PROBED_FROM and can_probe(untimed[0]):
        found = with_probe(planned, unfinished, untimed)
    if found.seconds <= LONG:
        return
    more = "more than " if found.at_least else "about "
    said = f"{count(len(unfinished), 'run')} to do, {more}{span(found.seconds)} ({told(found.sources)})"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(
            f"{said}; more than an hour starts with --yes only; `gensweep plan …` shows the details"
        )
    print(f"{said}. Start? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Declined("not started")


def can_probe(job: Job) -> bool:
    """Whether a probe, alone and on the processor, says something about it."""
    hardware = job.config["hardware"]
    return (hardware["processes"], hardware["accelerator"], hardware["stack"]) == (1, "cpu", 1)


def with_probe(planned: Plan, unfinished: Sequence[Job], untimed: Sequence[Job]) -> Forecast:
    """The forecast with one training tried, of the run that seems to have the most work."""
    longest = max(untimed, key=lambda job: rough(job.config, examples(job.config)))
    found, alike = probed(longest, PROBE, 0), like(longest)

    def known(job: Job) -> Probed:
        return found if like(job) == alike else Probed(Costs(None, {}))

    return forecast(planned, unfinished, known)


def like(job: Job) -> str:
    """What runs share whose trainings take the same time."""
    return kind(job.config, budget=True)
