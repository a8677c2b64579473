"""Which run starts first. The order changes when a number is there, never what it is. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from gensweep.sweep.costs import Ledger, examples, rough
from gensweep.sweep.identity import fingerprint, science
from gensweep.sweep.plan import Job
from gensweep.table.history import history
from gensweep.table.store import Store


def ordered(todo: Sequence[Job], among: Sequence[Job]) -> list[Job]:
    """The jobs as ``hardware.order`` has them: ``given``, or the cheapest information first.

    That is one seed of every other grid point, short ones before long ones, then the next seed of each.

    Args:
        todo: To be started.
        among: The whole grid: a point with a seed that is done has given some information already.
    """
    if not todo or todo[0].config["hardware"]["order"] == "given":
        return list(todo)
    names = {job.run_id for job in todo}
    done = Counter(point_of(job) for job in among if job.run_id not in names)
    cost = costs(todo)
    rank = []
    for job in todo:
        rank.append((done[point_of(job)], cost[job.run_id]))
        done[point_of(job)] += 1
    return [todo[i] for i in sorted(range(len(todo)), key=lambda i: (*rank[i], i))]


def point_of(job: Job) -> str:
    """What runs share that differ in their seed alone."""
    return fingerprint({k: v for k, v in science(job.config).items() if k not in ("seed", "data_seed")})


def costs(jobs: Sequence[Job]) -> Mapping[str, float]:
    """Run → seconds of its training if they are known of all jobs, else units of work."""
    ledger = Ledger(history(Store(Path(jobs[0].config["outputs"]))))
    timed = {job.run_id: ledger.costs(job.config, ()).train for job in jobs}
    if all(timed.values()):
        return {name: cost.seconds for name, cost in timed.items() if cost}
    return {job.run_id: rough(job.config, examples(job.config)) for job in jobs}
