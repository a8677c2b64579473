"""What the tests of hostile folders share."""

import json
import shutil
import time
from pathlib import Path

import pytest

from gensweep.cli import main
from gensweep.table.atomic import sha256
from gensweep.table.store import Store

TINY = ("train_size=60", "model.widths=[4]", "budget.max_epochs=1", "measure=[error]")


class Boom:
    """Runs its payload when it is unpickled."""

    def __reduce__(self):
        return open, ("hit", "w")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Somebody's folder of one run."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.raises(SystemExit) as end:
        main(["run", *TINY, f"outputs={folder}"])
    assert end.value.code == 0
    return folder


@pytest.fixture
def run(results, tmp_path, monkeypatch):
    """A copy of its run, in the current folder."""
    shutil.copytree(results, tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    return Store(Path("outputs")).runs()[0]


def plant(run, name, content):
    """Put a file there with the hash that makes it count."""
    (run.folder / name).write_bytes(content)
    manifest = json.loads((run.folder / "manifest.json").read_bytes())
    (run.folder / "manifest.json").write_text(json.dumps({**manifest, name: sha256(content)}))


def survived(capsys, *words, codes=(0, 1, 2)):
    """What a command said; it ended in words and ran nothing."""
    started = time.monotonic()
    with pytest.raises(SystemExit) as end:
        main(list(words))
    assert time.monotonic() - started < 60
    said = capsys.readouterr()
    assert end.value.code in codes, said
    assert "Traceback" not in said.err
    assert not Path("hit").exists()
    return said.err
