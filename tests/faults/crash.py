"""Dies at its k-th call to the system, for every k, in forks of one process with all imports.

``python -m tests.faults.crash SCENARIO FOLDER [MUTANT]`` prints how many deaths there were, what was torn,
lost or unfinished after each. A mutant is a wrong way to write: the harness has to catch it.
"""

import builtins
import hashlib
import io
import itertools
import json
import os
import sys
import traceback
from pathlib import Path
from typing import ClassVar

from gensweep.table import atomic, store

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
OLD, NEW = b"old" * 4000, b"new" * 5000


class Store:
    """A run from its claim to its end, with damage to forget and a note of an experiment."""

    WHOLE: ClassVar = {"a": b"A" * 9000, "b": b"B" * 9000, "rows/c": b"C" * 3000, "rows/d": b"D" * 3000}

    def before(self, folder):
        run = self.run(folder)
        run.folder.mkdir(parents=True)
        run.commit({"b": self.WHOLE["b"]})
        (run.folder / "b").write_bytes(b"damaged")

    def run(self, folder):
        return store.Store(folder).run("0123456789ab")

    def act(self, folder):
        store.Store(folder).remember_experiment("name", {"0123456789ab": ["c", "d"]})
        run = self.run(folder)
        with run.claimed():
            run.forget_damaged()
            run.set_state("training")
            if not run.has("a", "b"):
                run.commit({name: self.WHOLE[name] for name in ("a", "b")})
            run.set_state("measuring")
            for name in ("rows/c", "rows/d"):
                if not run.has(name):
                    run.commit({name: self.WHOLE[name]})
            run.set_state("done")

    def torn(self, folder):
        run = self.run(folder).folder
        found = [p.name for p in folder.rglob("*.json") if not is_json(p)]
        if found or not (run / "manifest.json").exists():
            return found or ["manifest.json"]
        declared = json.loads((run / "manifest.json").read_bytes())
        for name, digest in declared.items():
            content = (run / name).read_bytes() if (run / name).exists() else b""
            if hashlib.sha256(content).hexdigest() != digest and content != b"damaged":
                found.append(name)
        return found

    def kept(self, folder):
        run = self.run(folder)
        return {name: run.manifest()[name] for name in run.manifest() if run.has(name)}

    def unfinished(self, folder):
        run = self.run(folder)
        whole = {name: run.read(name) for name in run.manifest()} == self.WHOLE
        left = {str(p.relative_to(run.folder)) for p in run.folder.rglob("*") if p.is_file()}
        noted = store.Store(folder).experiment("name") == {"0123456789ab": ["c", "d"]}
        tidy = left == {*self.WHOLE, "manifest.json", "state.json", ".lock"}
        return [] if whole and noted and tidy and run.state()["state"] == "done" else [f"left {left}"]


class Overwritten:
    """Files that are there already and are written anew: each is the old one or the new one."""

    def names(self):
        raise NotImplementedError

    def write(self, folder, content):
        raise NotImplementedError

    def versions(self):
        """Content → the bytes of each file."""
        if not hasattr(self, "_versions"):
            place = Path(os.environ["CRASH_SCRATCH"])
            self._versions = []
            for content in (OLD, NEW):
                self.write(place, content)
                self._versions.append({name: (place / name).read_bytes() for name in self.names()})
        return self._versions

    def before(self, folder):
        for name, content in self.versions()[0].items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)

    def act(self, folder):
        self.write(folder, NEW)

    def torn(self, folder):
        old, new = self.versions()
        found = {name: (folder / name).read_bytes() if (folder / name).exists() else b"" for name in old}
        return [name for name, content in found.items() if content not in (old[name], new[name])]

    def kept(self, folder):
        return {}

    def unfinished(self, folder):
        new = self.versions()[1]
        return [name for name in new if (folder / name).read_bytes() != new[name]]


class Checkpoint(Overwritten):
    """The checkpoint of a training, and weights that it keeps on its way."""

    def names(self):
        return ["last.ckpt", "kept/5.safetensors"]

    def write(self, folder, content):
        import torch
        from safetensors.torch import save

        from gensweep.train.checkpoint import SafeCheckpointIO, sealed
        from gensweep.train.keep import place

        weights = {"w": torch.frombuffer(bytearray(content[:12000]), dtype=torch.float32).clone()}
        place(folder, 5).parent.mkdir(exist_ok=True)
        atomic.write_atomically(place(folder, 5), sealed(save(weights)))
        SafeCheckpointIO(atomic.write_atomically).save_checkpoint(
            {"epoch": len(content), "state_dict": weights}, folder / "last.ckpt"
        )


class Figure(Overwritten):
    """The four files of a figure."""

    def names(self):
        return [f"basin-rollout.{ending}" for ending in ("pdf", "png", "csv", "json")]

    def write(self, folder, content):
        import pandas as pd
        from matplotlib.figure import Figure as Picture

        from gensweep.figures import base

        picture = Picture(figsize=(1, 1))
        picture.add_axes((0, 0, 1, 1)).plot([len(content), 1, 2])
        drawn = pd.DataFrame({"x": [len(content), 1.0]})
        base.provenance = lambda *_: {"figure": "basin-rollout", "n": len(content)}
        base.save("basin-rollout", picture, drawn, drawn, folder)


class Table(Overwritten):
    """The tidy table, twice."""

    def names(self):
        return ["table.parquet", "table.csv"]

    def write(self, folder, content):
        import pandas as pd

        from gensweep.table import shards

        shards.write(pd.DataFrame({"value": [1.0] * (len(content) // 100)}), folder / "table.parquet")


class Blocks:
    """The answers of a measure, kept one by one."""

    ANSWERS: ClassVar = [[k / 7, "word"] for k in range(5)]

    def before(self, folder):
        from gensweep import blocks

        blocks.EVERY = 0.0

    def act(self, folder):
        from gensweep.blocks import Blocks, kept_in, remembered

        with kept_in(Blocks(folder / "blocks", atomic.write_atomically, lambda _: None)):
            found = [remembered(lambda k: self.ANSWERS[k], k) for k in range(5)]
        assert found == self.ANSWERS

    def torn(self, folder):
        """A torn block would not count, but would hide that the writer is wrong: none may be there."""
        from gensweep.blocks import read

        names = [p for p in (folder / "blocks").glob("[0-9]")]
        answers = read(folder / "blocks")[0]
        return [] if answers == self.ANSWERS[: len(answers)] and len(answers) == len(names) else ["a block"]

    def kept(self, folder):
        from gensweep.blocks import read

        return dict(enumerate(map(str, read(folder / "blocks")[0])))

    def unfinished(self, folder):
        from gensweep.blocks import read

        return [] if read(folder / "blocks")[0] == self.ANSWERS else ["answers"]


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


SCENARIOS = {"store": Store, "checkpoint": Checkpoint, "figure": Figure, "table": Table, "blocks": Blocks}
MUTANTS = {f.__name__: f for f in (in_place, manifest_first, unlinked_first)}


def is_json(path):
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


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
