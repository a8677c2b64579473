"""How long what a plan has to do will take, what it will fill, and where each number comes from. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gensweep.sweep.costs import Cost, Costs, Ledger, kind
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.plan import Job, Plan
from gensweep.sweep.probing import Probed, merged
from gensweep.sweep.reasons import lacking, progress
from gensweep.table.history import Past, history

START, EACH = 4.0, 0.5  # seconds: importing torch once; a process of its own and the data of each run


@dataclass(frozen=True)
class Todo:
    """One run that is not finished.

    Args:
        job: Which.
        training: How much of its training is left, 0 to 1.
        measures: Measure → shard, of those that are missing.
        costs: What is known of them.
    """

    job: Job
    training: float
    measures: dict[str, str]
    costs: Costs

    @property
    def parts(self) -> list[tuple[float, Cost | None]]:
        """Everything left to do: how much of what."""
        train = [(self.training, self.costs.train)] if self.training else []
        return [*train, *((1.0, self.costs.measures.get(s)) for s in self.measures.values())]

    @property
    def seconds(self) -> float:
        """As far as they are known."""
        return EACH + sum(share * cost.seconds for share, cost in self.parts if cost)


@dataclass(frozen=True)
class Forecast:
    """What a plan will cost.

    Args:
        todo: Its runs that are not finished.
        jobs: Runs at a time.
        past: What the store has done.
        probes: What was tried for it.
    """

    todo: list[Todo]
    jobs: int
    past: list[Past]
    probes: list[Probed]

    @property
    def seconds(self) -> float:
        """Wall time of all of it, as far as it is known."""
        if not self.todo:
            return 0.0
        each = [one.seconds for one in self.todo]
        return START + max(sum(each) / self.jobs, *each)

    @property
    def unknown(self) -> int:
        """Runs of which something is not known."""
        return sum(any(cost is None for _, cost in one.parts) for one in self.todo)

    @property
    def at_least(self) -> bool:
        """Whether it will take longer than the seconds that are known."""
        cut = any(cost and cost.at_least for one in self.todo for _, cost in one.parts)
        return cut or self.unknown > 0

    @property
    def sources(self) -> dict[str, int]:
        """Where the numbers come from, and how many were timed at most for one."""
        costs = [cost for one in self.todo for _, cost in one.parts if cost]
        return {c.source: max(o.times for o in costs if o.source == c.source) for c in costs}


def forecast(
    planned: Plan, unfinished: Sequence[Job], try_out: Callable[[Job], Probed] | None = None
) -> Forecast:
    """What is left to do, with its costs from like runs and, where there are none, from probes.

    Args:
        planned: The plan.
        unfinished: Its jobs that are not finished.
        try_out: Makes a probe; None leaves what nobody knows unknown.
    """
    past = history(planned.store) if unfinished else []
    ledger, probes = Ledger(past), dict[str, Probed]()
    todo: list[Todo] = []
    for job in unfinished:
        measures = {name: job.shards[name] for name in lacking(job)}
        again = any(one.job.run_id == job.run_id for one in todo)  # trained once, measured in several places
        one = Todo(job, 0.0 if again else left(job), measures, ledger.costs(job.config, measures.values()))
        if try_out and any(cost is None for _, cost in one.parts):
            alike = fingerprint([kind(job.config, budget=True), sorted(measures)])
            probes[alike] = probes.get(alike) or try_out(job)
            one = Todo(job, one.training, measures, merged(one.costs, probes[alike].costs))
        todo.append(one)
    jobs = unfinished[0].config["hardware"]["jobs"] if unfinished and planned.multirun else 1
    return Forecast(todo, jobs, past, list(probes.values()))


def left(job: Job) -> float:
    """How much of its training is left."""
    if job.run.trained():
        return 0.0
    done = progress(job)
    return 1 - done[0] / done[1] if done else 1.0
