"""What each writer of gensweep does, so that `crash` can kill it in the midst, and what is to be found then.

A scenario has ``before`` (what is there), ``act`` (what may die), ``torn`` (what is neither old nor new),
``kept`` (what must not be lost) and ``unfinished`` (what a rerun left undone).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import ClassVar

from gensweep.table import atomic, store

OLD, NEW = b"old" * 4000, b"new" * 5000


def is_json(path):
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


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


SCENARIOS = {"store": Store, "checkpoint": Checkpoint, "figure": Figure, "table": Table, "blocks": Blocks}
