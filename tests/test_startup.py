"""Verbs that need no torch do not import it, nor anything else that is slow."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gensweep.sweep.plan import Job, plan
from tests.past import made

SLOW = ("torch", "lightning", "sklearn", "pandas", "matplotlib", "scipy")


@pytest.mark.parametrize("verb", ["status", "plan", "verify"])
def test_a_store_of_fifty_runs_is_looked_at_in_half_a_second(verb, tmp_path, monkeypatch):
    """Of processor time: other load on the machine is not our doing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    (job,) = plan(("measure=[error]",)).jobs
    for seed in range(50):
        made(Job((), {**job.config, "seed": seed}))
    words = [verb, "measure=[error]", "seed=99"] if verb == "plan" else [verb]
    before = os.times()
    subprocess.run([sys.executable, "-m", "gensweep", *words], check=True, capture_output=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent < (1.2 if verb == "plan" else 0.5)  # with a pyarrow and Hydra, and no torch


def imported_by(words: list[str], tmp_path) -> set[str]:
    code = (
        "import sys\n"
        "from gensweep.cli import main\n"
        f"try:\n    main({words!r})\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('MODULES', *{m.partition('.')[0] for m in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


@pytest.mark.parametrize(
    ("words", "also"),
    [
        (["--help"], {"hydra", "numpy", "yaml"}),
        (["run", "--help"], {"numpy"}),
        (["status"], {"hydra", "numpy"}),
        (["status", "--json"], {"hydra", "numpy"}),
        (["status", "--failed"], {"hydra", "numpy", "rich"}),
        (["verify"], {"hydra", "numpy", "rich"}),
        (["plan", "seed=1"], set()),
        (["plan", "-m", "seed=1,2"], set()),
    ],
)
def test_quick_verbs_import_nothing_slow(words, also, tmp_path):
    modules = imported_by(words, tmp_path)
    assert "gensweep" in modules
    assert not modules & ({*SLOW} | also)
    assert not list(tmp_path.iterdir())  # and they touch nothing
