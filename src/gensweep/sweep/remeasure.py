"""More measures on stored solutions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gensweep.errors import InputError
from gensweep.sweep.check import check
from gensweep.sweep.compose import composed
from gensweep.sweep.identity import SCIENCE
from gensweep.sweep.launch import start, try_out
from gensweep.sweep.other import resolved
from gensweep.sweep.plan import Job
from gensweep.sweep.trusted import KEY, is_own, refuse_foreign, refuse_unknown
from gensweep.sweep.words import as_text
from gensweep.table.places import check_confined
from gensweep.table.store import Run, Store

_OPEN = ("measure", "hardware", "data_dir", KEY)


def remeasure(words: Sequence[str], outputs: Path) -> int:
    """Measure runs that are trained.

    Args:
        words: Beginnings of run names, and overrides of ``measure``.
        outputs: The folder of runs.

    Returns:
        The exit code of the worst of them.

    Raises:
        InputError: A run is unknown or untrained, or an override is not about measuring, or a measure
            names another run that the first cannot be held against.
    """
    overrides = [w for w in words if "=" in w]
    for override in overrides:
        if override.startswith("outputs="):
            raise InputError(f"{override}: here it is an option; write --outputs {override[8:] or 'DIR'}")
        if not override.lstrip("+~").startswith(_OPEN):
            raise InputError(
                f"{override}: a stored run keeps its science; only measure… and hardware… can be given here"
            )
    config, _ = composed(tuple(map(as_text, overrides)))
    store = Store(outputs)
    runs = [store.find(w) for w in words if "=" not in w]
    if not runs:
        raise InputError("name at least one run; `gensweep status` lists them")
    for run in runs:
        if not run.trained():
            raise InputError(
                f"run {run.run_id} has no undamaged solution to measure; it is {run.state()['state']}"
            )
        check_confined(run.folder, outputs)
        refuse_odd(run, config)
    measures = [resolved(config["measure"], run, store) for run in runs]
    jobs = [
        Job((), {**config, **run.config(), "measure": asked, "outputs": str(outputs)})
        for run, asked in zip(runs, measures, strict=True)
    ]
    try_out(jobs)
    codes = [0 if job.finished() else start(job) for job in jobs]
    print(f"{codes.count(0)} of {len(codes)} runs measured", file=sys.stderr)
    return max(codes)


def refuse_odd(run: Run, default: Mapping[str, Any]) -> None:
    """Refuse a stored config that no command line can have made: somebody else's store runs no code either.

    Args:
        run: Which is to be measured.
        default: A config from this command line.

    Raises:
        InputError: Naming the run and what is wrong with it.
    """
    stored = run.config()
    try:
        for key in sorted({*SCIENCE} ^ stored.keys() - {"batch_norm_parts"}):
            raise InputError(f"{key} is {'missing' if key in SCIENCE else 'no setting of a run'}")
        for key in (
            key for key in SCIENCE if isinstance(stored[key], dict) != isinstance(default[key], dict)
        ):
            raise InputError(f"{key}={stored[key]} is of the wrong kind")
        refuse_foreign(stored, default[KEY])
        ours = {k: v for k, v in stored.items() if k != "model" or not is_own(v)}
        check(ours, ours)
        refuse_unknown(ours)
    except InputError as error:
        raise InputError(f"run {run.run_id} cannot be measured: its config.yaml is odd: {error}") from None
