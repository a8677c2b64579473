"""A run tried for a few seconds, to say how long it would take; nothing is written."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from gensweep.data.base import Data
from gensweep.data.cache import folder as cache
from gensweep.geometry.solution import Layout, Solution
from gensweep.parts import load, network, part, protocol
from gensweep.rng import Stream
from gensweep.run import MEASURE_SEED
from gensweep.solutions import along, state
from gensweep.sweep.identity import data_seed, shards
from gensweep.train.fit import fit
from gensweep.train.timed import Timed, TimeUp

Tell = Callable[[dict[str, Any]], None]


def probe(config: dict[str, Any], limits: Mapping[str, float], tell: Tell) -> None:
    """Time the beginning of a training, and each measure on what came of it.

    Args:
        config: Composed and checked; it is trained alone, on the processor.
        limits: Seconds for ``train`` and for each ``measure``; 0 leaves the measures out.
        tell: Takes each number as soon as it is there.
    """
    write_nothing()
    torch.set_num_threads(config["hardware"]["threads"])
    started = time.monotonic()
    data = load({**config, "data": {**config["data"], **_no_download(config["data"])}})
    model = network(config, data)
    begun, init_P = state(model), Layout.of(model).pack(dict(model.named_parameters()))
    ready = time.monotonic() - started
    rng, order = (Stream(seed).child("train") for seed in (config["seed"], data_seed(config)))
    task = Timed(limits["train"], model, data, protocol(config, data), rng, order)
    with contextlib.suppress(TimeUp):
        fit(task, Path(), lambda path, content: None, [], False)
    parameters = sum(p.numel() * p.element_size() for p in model.parameters())
    tell({"train": task.seconds(), "start": ready, "bytes": 2 * parameters})
    if limits["measure"]:
        theta_P = Layout.of(model).pack(dict(model.named_parameters()))
        trained = Solution(model.eval(), theta_P, init_P, config["budget"]["target_loss"])
        time_measures(config, along(trained, {0: begun}), data, limits["measure"], tell)
    tell({"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


def _no_download(data: Mapping[str, Any]) -> dict[str, bool]:
    return {"download": False} if "download" in data else {}


def time_measures(config: dict[str, Any], solution: Solution, data: Data, limit: float, tell: Tell) -> None:
    """Each measure as it is asked for, but no longer than the limit."""
    for name, shard in shards(config).items():
        started = time.monotonic()
        cut, estimate = False, part(config["measure"][name])()
        try:
            with alarm(limit):
                list(estimate(solution, data, Stream(MEASURE_SEED).child("measure", name)))
        except TimeUp:
            cut = True
        tell({"shard": shard, "seconds": time.monotonic() - started, "cut": cut})


@contextlib.contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise `TimeUp` inside after so many seconds."""

    def ring(number: int, frame: Any) -> None:
        raise TimeUp

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def write_nothing() -> None:
    """From now on the kernel refuses this process every byte in a file; decoded images are not kept."""
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if not cache().is_dir():
        os.environ["GENSWEEP_CACHE"] = os.devnull
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
