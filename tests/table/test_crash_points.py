"""A process that dies at its k-th call to the system, for every k, leaves nothing half done."""

import json
import subprocess
import sys

import pytest

from gensweep.table import store
from gensweep.table.store import Run, sha256

DIED = 137
# Wraps the calls that touch the disk; dies at call number argv[2], counted after `armed`.
PRELUDE = """
import builtins, io, os, sys
from pathlib import Path
import gensweep.table.store as store
folder, last, count, armed = Path(sys.argv[1]), int(sys.argv[2]), 0, False
def dying(call):
    def wrapped(*args, **kwargs):
        global count
        if armed:
            count += 1
            if count == last:
                os._exit(137)
        return call(*args, **kwargs)
    return wrapped
for name in ("open", "write", "fsync", "replace", "unlink", "mkdir", "close", "fdopen"):
    setattr(os, name, dying(getattr(os, name)))
builtins.open = io.open = dying(open)
"""
SCRIPT = """
run = store.Run(folder)
armed = True
with run.claimed():
    run.forget_damaged()
    run.set_state("training")
    if not run.has("a", "b"):
        run.commit({"a": b"A" * 9000, "b": b"B" * 9000})
    run.set_state("measuring")
    for name in ("rows/c", "rows/d"):
        if not run.has(name):
            run.commit({name: name.encode() * 3000})
    run.set_state("done")
"""
TORN = """
def in_place(path, content):
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for first in range(0, len(content), 1000):
        os.write(handle, content[first:first + 1000])
    os.close(handle)
store.write_atomically = in_place
"""
UNDECLARED_FIRST = """
def manifest_first(run, files):
    run._declare(run.manifest() | {name: store.sha256(c) for name, c in files.items()})
    for name, content in files.items():
        (run.folder / name).parent.mkdir(exist_ok=True)
        store.write_atomically(run.folder / name, content)
store.Run.commit = manifest_first
"""
WHOLE = {"a": b"A" * 9000, "b": b"B" * 9000, "rows/c": b"rows/c" * 3000, "rows/d": b"rows/d" * 3000}


def attempt(folder, last, mutant=""):
    command = [sys.executable, "-c", PRELUDE + mutant + SCRIPT, str(folder), str(last)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (0, DIED), done.stderr
    return done.returncode


def faults(folder):
    """Declared files that are missing or torn, or the manifest itself."""
    try:
        declared = json.loads((folder / "manifest.json").read_bytes())
    except FileNotFoundError:
        return []
    except ValueError:
        return ["manifest.json"]
    on_disk = {name: folder / name for name in declared}
    return [n for n, p in on_disk.items() if not p.exists() or sha256(p.read_bytes()) != declared[n]]


def left_over(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def crashed(tmp_path, mutant=""):
    """Die at call 1, 2, … until nothing dies; yields the folder after each death."""
    for k in range(1, 1000):
        folder = tmp_path / f"{k:012x}"
        if attempt(folder, k, mutant) != DIED:
            return
        yield folder
    pytest.fail("the script never survived")


def test_at_every_crash_point_what_is_committed_is_whole_and_a_rerun_finishes(tmp_path):
    deaths = 0
    for folder in crashed(tmp_path):
        deaths += 1
        assert faults(folder) == []
        before = Run(folder).manifest()
        exec(SCRIPT, {"store": store, "folder": folder})
        assert before.items() <= Run(folder).manifest().items()
        assert {name: Run(folder).read(name) for name in Run(folder).manifest()} == WHOLE
        assert left_over(folder) == {*WHOLE, "manifest.json", "state.json", ".lock"}
        assert Run(folder).state()["state"] == "done"
    assert deaths > 50


@pytest.mark.parametrize("mutant", [TORN, UNDECLARED_FIRST])
def test_a_wrong_way_to_write_is_caught(tmp_path, mutant):
    assert any(faults(folder) for folder in crashed(tmp_path, mutant))
