"""The eight checks after every fault (O1–O8), each one function that fails with what it found."""

import json
import re

import pandas as pd

from gensweep.rows import KEY
from gensweep.table.shards import collect
from gensweep.table.store import Store
from gensweep.train.checkpoint import usable
from tests.waiting import wait_for

# What two tables of the same numbers may differ in: when and where they were made.
WHEN_AND_WHERE = ("train_seconds", "seconds", "machine", "git_sha", "git_dirty")
PATIENCE = 10  # seconds that processes of a dead sweep have to end


def nothing_lost(before, now):
    """O1: what was committed before the fault is committed still, the same to the bit."""
    lost = [key for key, rows in before.items() if now.get(key) != rows]
    assert not lost, f"O1: lost or changed {lost}"


def no_duplicates(outputs):
    """O2: no two rows under one key."""
    table = collect(Store(outputs))[0]
    assert not table.duplicated(list(KEY)).any(), "O2: two rows under one key"


def files_whole(outputs):
    """O3: each file at a final name opens and matches its hash; temporary ones do not count."""
    for run in Store(outputs).runs():
        torn = [name for name in run.manifest() if not run.has(name)]
        torn += [p.name for p in run.folder.glob("*.json") if not _is_json(p)]
        torn += [p.name for p in run.folder.rglob("last.ckpt") if not usable(p)]
        assert not torn, f"O3: {run.folder} has {torn} damaged"


def finishes(command, expected=0):
    """O4: the same command again ends well, with nothing deleted and nothing unlocked."""
    code = command.ended()
    assert code == expected, f"O4: the same command ended with {code}:\n{command.text}"


def same_table(found, expected):
    """O5: the table of an undisturbed sweep, to the bit."""
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    for column in ("value", "stderr"):
        assert found[column].to_numpy().tobytes() == expected[column].to_numpy().tobytes(), f"O5: {column}"


def exit_code(code, *allowed):
    """O6: 0 all done, 1 some failed, 2 bad input, 75 try again, 143 and 130 by a signal."""
    assert code in allowed, f"O6: exit code {code}, not {allowed}"


def nobody_left(study):
    """O7: no process of the sweep is left after ten seconds."""
    wait_for(lambda: not study.processes(), seconds=PATIENCE)


def message(text, *parts):
    """O8: what, which run or file, why and what next, each a pattern to be found; and no traceback."""
    lacking = [part for part in parts if not re.search(part, text)]
    assert not lacking, f"O8: {lacking} not said in:\n{text}"
    assert "Traceback" not in text, f"O8: a traceback:\n{text}"


def table(outputs):
    """The tidy table without what may differ."""
    found, complaints = collect(Store(outputs))
    assert not complaints, complaints
    return found.drop(columns=[c for c in WHEN_AND_WHERE if c in found])


def _is_json(path):
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
