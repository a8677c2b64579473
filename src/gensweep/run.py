"""One run, from config to rows: the method section. Below the command line, only this file sees a config."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from gensweep.data.base import Data
from gensweep.data.corrupt import draw
from gensweep.geometry.reparametrise import places, reparametrised
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.rng import Stream
from gensweep.rows import Row, checked
from gensweep.solutions import loaded, other_end, saved
from gensweep.sweep.identity import run_id, science, shards
from gensweep.table.provenance import provenance
from gensweep.table.shards import encoded
from gensweep.table.store import DIVERGED, TRAINED, Run, Store, write_atomically
from gensweep.train.callback import MeasureAtEnd, Progress
from gensweep.train.compiled import compiled
from gensweep.train.fit import CHECKPOINT, fit, on_terminal
from gensweep.train.protocol import Protocol
from gensweep.train.task import Diverged, Task

# Measures of all runs draw from one seed: nets that are compared meet the same directions.
MEASURE_SEED = 0


def run(config: dict[str, Any], say: Callable[[str], None] = print) -> str:
    """Train the network that the config describes, measure it, store both; what is stored already stays.

    Args:
        config: Composed, resolved and checked.
        say: Takes one line of progress.

    Returns:
        ``done`` or ``diverged``.

    Raises:
        Busy: Another process holds the run.
    """
    torch.set_num_threads(config["hardware"]["threads"])
    stored = Store(Path(config["outputs"])).run(run_id(config))
    with stored.claimed():
        for name in stored.forget_damaged():
            say(f"{name} was damaged and is made again")
        stored.set_state("training")
        rng = Stream(config["seed"])
        data = load(config, rng.child("data"))
        if data.note:
            say(data.note)
        model = drawn(lambda: build(config["model"], data), rng.child("model"))
        model.to(torch.float64 if config["precision"] == "float64" else torch.float32)
        try:
            if stored.has(*TRAINED):
                measure(config, loaded(stored, model, config["budget"]["target_loss"]), data, stored, say)
            else:
                train(config, model, data, rng.child("train"), stored, say)
        except Diverged as error:
            return end_diverged(config, stored, str(error), say)
        (stored.folder / CHECKPOINT).unlink(missing_ok=True)
        stored.set_state("done")
        return "done"


def load(config: dict[str, Any], rng: Stream) -> Data:
    """The data set, and the splits that the run draws from it."""
    source = instantiate(config["data"]).load(Path(config["data_dir"]), rng.child("source"))
    sizes = {k: config[k] for k in ("train_size", "confusion_size", "random_labels", "poison_size")}
    return draw(source, rng.child("splits"), **sizes)


def build(settings: dict[str, Any], data: Data) -> torch.nn.Module:
    """The network for inputs and classes of this data."""
    return part(settings)(input_shape=data.input_shape, num_classes=data.num_classes)


def part(settings: dict[str, Any]) -> Callable[..., Any]:
    """What a yaml file names, waiting for its live arguments."""
    named = {k: v for k, v in settings.items() if k != "name"}
    return instantiate({**named, "_partial_": True}, _convert_="all")


def train(config, model, data, rng, stored: Run, say) -> None:
    """Fit, and when the fit has ended, reparametrise and measure in a callback."""
    started, how = time.monotonic(), config["reparametrise"]
    places(model, how)  # a network without any says so before it is trained
    init_P = Layout.of(model).pack(dict(model.named_parameters()))
    settings = {k: config[k] for k in ("poison_factor", "batch_size", "augment", "clip_norm", "precision")}
    schedule = part(config["schedule"])()
    protocol = Protocol(optimiser=part(config["optim"]), schedule=schedule, **settings, **config["budget"])

    def at_end(trained: Solution, outcome: dict[str, Any]) -> None:
        solution, change = reparametrised(trained, data, how, rng.child("reparametrise"))
        facts = {
            "state": "trained",
            **outcome,
            "output_change": change,
            "train_seconds": time.monotonic() - started,
            "data_note": data.note,
        }
        stored.commit(saved(solution, data, science(config), facts))
        measure(config, solution, data, stored, say)

    def progress(line: str) -> None:
        stored.set_state("training", progress=line)
        if not on_terminal():
            say(line)

    callbacks = [Progress(progress), MeasureAtEnd(init_P, at_end)]
    logger = part(config["logger"])(save_dir=stored.folder, name="log")
    task = Task(model, data, protocol, rng)
    if config["hardware"]["compile"]:
        task.compiled = compiled(model, init_P.device)
    fit(task, stored.folder, write_atomically, callbacks, logger, config["hardware"]["accelerator"])


def measure(config, solution: Solution, data: Data, stored: Run, say) -> None:
    """Every measure that the config asks for and the run lacks, each stored as soon as it is there."""
    for name, shard in shards(config).items():
        if stored.has(f"rows/{shard}.parquet"):
            continue
        stored.set_state("measuring", progress=name)
        started = time.monotonic()
        settings = config["measure"][name]
        estimate = part(settings)(**other_end(settings, solution, Store(Path(config["outputs"]))))
        rows = checked(name, estimate(solution, data, Stream(MEASURE_SEED).child("measure", name)))
        seconds = time.monotonic() - started
        store_rows(stored, shard, rows, settings, seconds)
        say(f"measured {name}: {len(rows)} rows in {seconds:.1f} s")


def store_rows(stored: Run, shard: str, rows: list[Row], settings: dict[str, Any], seconds: float) -> None:
    """Commit the rows of one measure with where they came from."""
    stored.commit({f"rows/{shard}.parquet": encoded(rows, provenance(settings, seconds))})


def end_diverged(config: dict[str, Any], stored: Run, reason: str, say) -> str:
    """A run without a finite loss ends with one row that says so; its last good checkpoint stays."""
    row = Row("loss", float("nan"), float("nan"), "train", status="nonfinite", reason=reason)
    store_rows(stored, DIVERGED, [row], {}, 0.0)
    stored.commit(
        saved(
            None,
            None,
            science(config),
            {
                "state": "diverged",
                **dict.fromkeys(("epochs", "updates", "output_change", "train_seconds")),
                "data_note": "",
            },
        )
    )
    stored.set_state("diverged", reason=reason)
    say(f"diverged: {reason}")
    return "diverged"
