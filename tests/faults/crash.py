"""Dies at its k-th call to the system, for every k, in forks of one process with all imports.

``python -m tests.faults.crash SCENARIO FOLDER [MUTANT]`` prints how many deaths there were, what was torn,
lost or unfinished after each. A mutant is a wrong way to write: the harness has to catch it.
"""

import builtins
import io
import itertools
import json
import os
import sys
import traceback
from pathlib import Path

from gensweep.table import atomic, store
from tests.faults.writers import SCENARIOS, Overwritten

DIED = 137
CALLS = (
    "open",
    "write",
    "fsync",
    "replace",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "close",
    "fdopen",
    "utime",
    "rmdir",
)


def in_place():
    """Mutant: a file is written where it is to stand."""

    def write(path, content):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for first in range(0, len(content), 1000):
            os.write(handle, content[first : first + 1000])
        os.close(handle)

    from gensweep.figures import base
    from gensweep.table import shards

    for module in (atomic, store, base, shards):
        module.write_atomically = write


def manifest_first():
    """Mutant: files count before they are there."""

    def commit(run, files):
        run._declare(run.manifest() | {name: store.sha256(c) for name, c in files.items()})
        for name, content in files.items():
            (run.folder / name).parent.mkdir(exist_ok=True)
            store.write_atomically(run.folder / name, content)

    store.Run.commit = commit


def unlinked_first():
    """Mutant: the old file is taken away before the new one has its name."""

    def replaced(source, target):
        Path(target).unlink(missing_ok=True)
        os.rename(source, target)

    os.replace = replaced


MUTANTS = {f.__name__: f for f in (in_place, manifest_first, unlinked_first)}


def arm(last):
    """From now on this process dies at its call number ``last``."""
    count = itertools.count(1)

    def dying(call):
        def wrapped(*args, **kwargs):
            if next(count) == last:
                os._exit(DIED)
            return call(*args, **kwargs)

        return wrapped

    for name in CALLS:
        setattr(os, name, dying(getattr(os, name)))
    builtins.open = io.open = dying(open)


def forked(act, folder, last=0):
    """What becomes of a process that does it; one that dies at its call number ``last``, if that is given."""
    pid = os.fork()
    if not pid:
        try:
            if last:
                arm(last)
            act(folder)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(name, root, mutant=""):
    os.environ["CRASH_SCRATCH"] = str(root / "scratch")
    (root / "scratch").mkdir()
    scenario, deaths, violations = SCENARIOS[name](), 0, []
    if isinstance(scenario, Overwritten):
        scenario.versions()
    if mutant:
        MUTANTS[mutant]()
    for k in itertools.count(1):
        folder = root / f"{k:012x}"
        folder.mkdir()
        scenario.before(folder)
        code = forked(scenario.act, folder, k)
        if code == 0:
            break
        assert code == DIED, code
        deaths += 1
        violations += [f"call {k}: {what} is torn" for what in scenario.torn(folder)]
        if not mutant:
            kept = scenario.kept(folder)
            assert forked(scenario.act, folder) == 0
            violations += [
                f"call {k}: {what} is lost"
                for what, v in kept.items()
                if scenario.kept(folder).get(what) != v
            ]
            violations += [f"call {k}: {what} unfinished" for what in scenario.unfinished(folder)]
    print(json.dumps({"deaths": deaths, "violations": violations}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
