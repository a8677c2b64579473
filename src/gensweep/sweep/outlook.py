"""What a plan says of its cost, line by line. No torch."""

from __future__ import annotations

import math
import shutil
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from gensweep.sweep.costs import Cost, told
from gensweep.sweep.forecast import Forecast, forecast
from gensweep.sweep.identity import fingerprint
from gensweep.sweep.launch import listing
from gensweep.sweep.plan import Plan
from gensweep.sweep.probing import probed
from gensweep.sweep.reasons import Neighbours, state_of, why
from gensweep.sweep.spoken import amount, count, runs, span

MOST_LINES = 4
TRAIN, MEASURE = 3.0, 20.0  # seconds of a probe: of training once it is under way, of each measure at most


def show(planned: Plan, probe: bool) -> int:
    """Print each job with its state and reason, and what all of it will cost; returns the exit code.

    Args:
        planned: The plan.
        probe: Whether to try what nobody has timed.
    """
    finished = [job.finished() for job in planned.jobs]
    unfinished = [job for job, done in zip(planned.jobs, finished, strict=True) if not done]
    neighbours = Neighbours(planned.store) if unfinished else None
    reasons = {job.run_id: why(job, neighbours) for job in unfinished if neighbours}
    for job, done in zip(planned.jobs, finished, strict=True):
        reason = f"   {reasons[job.run_id]}" if not done else ""
        print(f"{job.run_id} {state_of(job, done):<12} {' '.join(job.overrides)}{reason}")
    print(listing(planned, len({job.run_id for job in unfinished})))
    try_out = partial(probed, train=TRAIN, measure=MEASURE) if probe else None
    said = lines(forecast(planned, unfinished, try_out), planned.store.outputs)
    for line in [*said, *_news(list(reasons.values()))]:
        print(line)
    return 0


def _news(reasons: Sequence[str]) -> list[str]:
    """What is new about the runs that never began, the commonest first."""
    news = Counter(reason.removeprefix("new: ") for reason in reasons if reason.startswith("new: "))
    said = [f"why new: {reason} ({count(n, 'run')})" for reason, n in news.most_common(MOST_LINES)]
    rest = news.total() - sum(n for _, n in news.most_common(MOST_LINES))
    return [*said, *[f"why new: {count(rest, 'more run')}, each as its line says"] * bool(rest)]


def lines(found: Forecast, outputs: Path) -> list[str]:
    """What a person reads of it."""
    if not found.todo:
        return []
    said = [*_reuse(found), *_training(found), *_measuring(found), _total(found), *_disk(found, outputs)]
    memory = max((p.memory for p in found.probes), default=0)
    if memory:
        said.append(f"memory   {amount(memory)} in the process of a probe; {found.jobs} at a time")
    failures = Counter(p.failure for p in found.probes if p.failure)
    return [*said, *(f"a probe found nothing, or not all: {failure}" for failure in failures)]


def _reuse(found: Forecast) -> list[str]:
    trained = [one for one in found.todo if not one.training]
    begun = sum(0 < one.training < 1 for one in found.todo)
    said = []
    if trained:
        measures = dict.fromkeys(name for one in trained for name in one.measures)
        said.append(
            f"{count(len(trained), 'training')} stored already, to be measured only: {', '.join(measures)}"
        )
    if begun:
        said.append(f"{count(begun, 'training')} to go on from a checkpoint")
    return ["reuse    " + "; ".join(said)] if said else []


def _training(found: Forecast) -> list[str]:
    shares = [(one.training, one.costs.train) for one in found.todo if one.training]
    return _headed("train", _stations(shares, MOST_LINES))


def _measuring(found: Forecast) -> list[str]:
    names = dict.fromkeys(name for one in found.todo for name in one.measures)
    width, said = max(map(len, names), default=0), []
    for name in names:
        asked = [one for one in found.todo if name in one.measures]
        shares = [(1.0, one.costs.measures.get(one.measures[name])) for one in asked]
        said += [f"{name:<{width}} {line}" for line in _stations(shares, 1)]
    return _headed("measure", said)


def _headed(head: str, said: Sequence[str]) -> list[str]:
    return [f"{'' if i else head:<8} {line}" for i, line in enumerate(said)]


def _stations(shares: Sequence[tuple[float, Cost | None]], most: int) -> list[str]:
    """One line for each cost, or a single one where there are many."""
    groups: dict[Cost | None, float] = {}
    for share, cost in shares:
        groups[cost] = groups.get(cost, 0) + share
    known = [(cost, number) for cost, number in groups.items() if cost]
    said = [_several(known)] if len(known) > most else [_station(cost, number) for cost, number in known]
    return [*said, f"{runs(groups[None])} × ?"] if None in groups else said


def _station(cost: Cost, number: float) -> str:
    spread = "" if math.isnan(cost.spread) else f" ± {span(cost.spread)}"
    more = "> " if cost.at_least else ""
    total = f"{more}{span(number * cost.seconds)}"
    return (
        f"{runs(number)} × {more}{span(cost.seconds)}{spread} = {total}   {told({cost.source: cost.times})}"
    )


def _several(known: Iterable[tuple[Cost, float]]) -> str:
    pairs = list(known)
    seconds = [cost.seconds for cost, _ in pairs]
    timed = Counter[str]()
    for cost, _ in pairs:
        timed[cost.source] += cost.times
    number, total = sum(n for _, n in pairs), sum(cost.seconds * n for cost, n in pairs)
    return f"{runs(number)} × {span(min(seconds))} to {span(max(seconds))} = {span(total)}   {told(timed)}"


def _total(found: Forecast) -> str:
    hint = "no run like this was timed here; `gensweep plan --probe …` times one"
    if not found.sources:
        return f"time     not known: {hint}"
    more = "more than " if found.at_least else "about "
    missing = f"; of {count(found.unknown, 'run')} not all is known: {hint}" if found.unknown else ""
    return f"time     {more}{span(found.seconds)}, {found.jobs} at a time{missing}"


def _disk(found: Forecast, outputs: Path) -> list[str]:
    models = {fingerprint(one.job.config["model"]) for one in found.todo if one.training}
    sizes = [p.size for p in found.past if fingerprint(p.science["model"]) in models]
    place = next(p for p in (outputs.absolute(), *outputs.absolute().parents) if p.is_dir())
    free = f"free {amount(shutil.disk_usage(place).free)}"
    new = sum(one.training > 0 for one in found.todo)
    if sizes and new:
        each = statistics.median(sizes)
        return [
            f"disk     +{amount(new * each)} ({amount(each)} a run, as {len(sizes)} like it took; {free})"
        ]
    weights = max((p.size for p in found.probes), default=0)
    if weights and new:
        rule = f"and rows ({amount(weights)} of weights a run, from their number; {free})"
        return [f"disk     +{amount(new * weights)} {rule}"]
    return [f"disk     {free}"]
