"""One run, from config to rows: the method section. Below the command line, few files see a config."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gensweep import preemption
from gensweep.blocks import Blocks, kept_in
from gensweep.data.base import Data
from gensweep.geometry.batch_norm import reestimated
from gensweep.geometry.reparametrise import reparametrised
from gensweep.geometry.solution import Layout, Solution
from gensweep.parts import check_places, load, network, part, protocol
from gensweep.products import quick_products
from gensweep.ranks import current
from gensweep.rng import Stream
from gensweep.rows import Row, checked
from gensweep.shared import shared
from gensweep.solutions import State, along, beginning, loaded, other_ends, put, saved, state
from gensweep.sweep.identity import data_seed, fingerprint, run_id, science, shards
from gensweep.sweep.other import check_ends
from gensweep.table.history import note_asked
from gensweep.table.provenance import provenance
from gensweep.table.shards import encoded
from gensweep.table.store import DIVERGED, Run, Store, write_atomically
from gensweep.train.budget import kept_epochs
from gensweep.train.callback import MeasureAtEnd, Progress
from gensweep.train.checkpoint import obstacle
from gensweep.train.compiled import compiled
from gensweep.train.fit import CHECKPOINT, fit, on_terminal
from gensweep.train.keep import KEEPING, Keep, kept, resumable
from gensweep.train.loggers import Aside
from gensweep.train.task import Diverged, Task

# Measures of all runs draw from one seed: nets that are compared meet the same directions.
MEASURE_SEED = 0
BLOCKS = ".blocks"  # folder of a measure that is under way


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
    ranks = current()
    say = say if ranks.writes else silent
    stored = shared(Store(Path(config["outputs"])).run(run_id(config)), ranks)
    with stored.claimed():
        for name in stored.forget_damaged():
            say(f"{name} was damaged and is made again")
        stored.set_state("training")
        try:
            if ranks.writes:
                note_asked(stored, science(config))
            data = load(config)
            if data.note:
                say(data.note)
            model = network(config, data).to(ranks.device)
            if stored.trained():
                measure(config, loaded(stored, model, config["budget"]["target_loss"]), data, stored, say)
            else:
                train(config, model, data, stored, say)
        except Diverged as error:
            return end_diverged(config, stored, str(error), say)
        except preemption.Preempted as end:
            stored.set_state("preempted", progress=stored.state()["progress"], reason=str(end))
            raise
        (stored.folder / CHECKPOINT).unlink(missing_ok=True)
        for passing in (KEEPING, BLOCKS):
            shutil.rmtree(stored.folder / passing, ignore_errors=True)
        stored.set_state("done")
        return "done"


def silent(line: str) -> None:
    """Say nothing: of several processes one speaks."""


def train(config: dict[str, Any], model: torch.nn.Module, data: Data, stored: Run, say) -> None:
    """Fit, and when the fit has ended, commit and measure in a callback."""
    started = time.monotonic()
    check_places(config, model)
    begin(config, model)
    begun, keep = state(model), config["budget"]["keep"]
    init_P = Layout.of(model).pack(dict(model.named_parameters()))

    def at_end(trained: Solution, outcome: dict[str, Any]) -> None:
        passed = {0: begun, **kept(stored.folder, kept_epochs(keep, outcome["epochs"]))}
        outcome["train_seconds"] = time.monotonic() - started
        solution = commit(config, trained, data, passed, outcome, stored)
        preemption.heed()
        measure(config, solution, data, stored, say)

    def progress(line: str) -> None:
        stored.set_state("training", progress=line)
        if not on_terminal():
            say(line)

    keeper = Keep(stored.folder, keep, write_atomically)
    callbacks = [Progress(progress), keeper, MeasureAtEnd(init_P, at_end)]
    logger = watched(config, stored, say)
    rng, order = (Stream(seed).child("train") for seed in (config["seed"], data_seed(config)))
    task = Task(model, data, protocol(config, data), rng, order, config["sync_batch_norm"])
    if config["hardware"]["compile"]:
        task.compiled = compiled(model, init_P.device)
    refuse_checkpoint(stored, task, keep, say)
    fit(task, stored.folder, write_atomically, callbacks, logger)


def refuse_checkpoint(stored: Run, task: Task, keep: int | list[int] | None, say) -> None:
    """Delete a checkpoint that training cannot go on from, and say why not: it begins anew."""
    checkpoint = stored.folder / CHECKPOINT
    why = obstacle(checkpoint, task)
    if not why and not resumable(stored.folder, checkpoint, keep):
        why = "lacks weights that were kept before it"
    if why:
        say(f"{checkpoint} {why}; training begins anew")
        checkpoint.unlink(missing_ok=True)


def watched(config: dict[str, Any], stored: Run, say: Callable[[str], None]) -> Aside | None:
    """What shows the training to people while it runs; one process has it."""
    if not current().writes:
        return None
    make = part(config["logger"])
    logger = Aside(lambda: make(folder=stored.folder, name=stored.run_id), say)
    logger.log_hyperparams(science(config))
    return logger


def begin(config: dict[str, Any], model: torch.nn.Module) -> None:
    """Put the weights that the run starts from into the network, where it names any."""
    start = config["start"]
    if start["run"] is not None:
        put(model, beginning(Store(Path(config["outputs"])).run(start["run"]), start["epoch"]))


def commit(
    config: dict[str, Any],
    trained: Solution,
    data: Data,
    passed: dict[int, State],
    outcome: dict[str, Any],
    stored: Run,
) -> Solution:
    """Store what was trained, with the weights that it passed; returns what is to be measured."""
    whole = along(trained, passed)
    whole = reestimated(whole, data) if config["reestimate_batch_norm"] else whole
    rng = Stream(config["seed"]).child("train", "reparametrise")
    solution, change = reparametrised(whole, data, config["reparametrise"], rng)
    facts = {"state": "trained", **outcome, "output_change": change, "data_note": data.note}
    stored.commit(saved(solution, data, science(config), facts, passed))
    return solution


def measure(config, solution: Solution, data: Data, stored: Run, say) -> None:
    """Every measure that the config asks for and the run lacks, each stored as soon as it is there."""
    for name, shard in shards(config).items():
        if stored.has(f"rows/{shard}.parquet"):
            continue
        stored.set_state("measuring", progress=name)
        started = time.monotonic()
        settings = config["measure"][name]
        store = Store(Path(config["outputs"]))
        check_ends(name, settings, stored, store)
        estimate = part(settings)(**other_ends(settings, solution, store))
        with kept_in(blocks(name, shard, stored)) as before, quick_products():
            rows = checked(name, estimate(solution, data, Stream(MEASURE_SEED).child("measure", name)))
        seconds = time.monotonic() - started + before.earlier
        store_rows(stored, shard, rows, settings, seconds)
        say(f"measured {name}: {len(rows)} rows in {seconds:.1f} s")


def blocks(name: str, shard: str, stored: Run) -> Blocks:
    """Where a measure that was killed finds its answers again, unless something they hang on has changed."""

    def say(progress: str) -> None:
        stored.set_state("measuring", progress=f"{name} {progress}")

    facts = [shard, stored.manifest()["solution.safetensors"], provenance({}, 0.0), where()]
    return Blocks(stored.folder / BLOCKS / fingerprint(facts), write_atomically, say)


def store_rows(stored: Run, shard: str, rows: list[Row], settings: dict[str, Any], seconds: float) -> None:
    """Commit the rows of one measure with where they came from."""
    stored.commit({f"rows/{shard}.parquet": encoded(rows, provenance(settings, seconds) | where())})


def where() -> dict[str, Any]:
    """By how many processes and threads rows are made, and on what."""
    return {"processes": current().place.world, "threads": torch.get_num_threads(), "device": chip()}


def chip() -> str:
    """What computes: the name of the GPU, or the instructions that the CPU is used with."""
    device = current().device
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else torch.backends.cpu.get_cpu_capability()
    )


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
