"""Runs that look as if somebody had made them, in no time."""

import json
import os

import yaml

from gensweep.rows import Row
from gensweep.sweep.identity import science
from gensweep.table.history import note_asked
from gensweep.table.provenance import provenance
from gensweep.table.shards import encoded
from gensweep.table.store import TRAINED

HERE = {"processes": 1, "threads": 1, "device": "AVX2"}


def begun(job, epoch=None, of=None, state="training"):
    """A run in the middle of its training, with a checkpoint if an epoch is said."""
    job.run.folder.mkdir(parents=True)
    note_asked(job.run, science(job.config))
    if epoch is not None:
        (job.run.folder / "last.ckpt").write_bytes(b"weights")
    job.run.set_state(state, progress=f"epoch {epoch}/{of}, clean loss 1" if epoch else "")
    return job


def died(job):
    """Make the process that works on it one that is gone."""
    path = job.run.folder / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"born": "1", "pid": os.getpid()}))
    return job


def made(job, train=10.0, updates=100, measures=1.0, place=HERE, names=None):
    """A finished run whose training and measures took so many seconds."""
    job.run.folder.mkdir(parents=True, exist_ok=True)
    note_asked(job.run, science(job.config))
    outcome = {"state": "trained", "epochs": 3, "updates": updates, "train_seconds": train}
    files = {name: name.encode() for name in TRAINED}
    files |= {
        "config.yaml": yaml.safe_dump(science(job.config)).encode(),
        "outcome.json": json.dumps(outcome).encode(),
    }
    for name, shard in job.shards.items():
        if names is None or name in names:
            rows = [Row("loss", 1.0, 0.0, "train")]
            files[f"rows/{shard}.parquet"] = encoded(rows, provenance({}, measures) | place)
    job.run.commit(files)
    job.run.set_state("done")
    return job
