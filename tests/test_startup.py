"""Verbs that need no torch do not import it, nor anything else that is slow."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = ("torch", "lightning", "sklearn", "pandas", "matplotlib", "scipy")


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
        (["plan", "seed=1"], set()),
        (["plan", "-m", "seed=1,2"], set()),
    ],
)
def test_quick_verbs_import_nothing_slow(words, also, tmp_path):
    modules = imported_by(words, tmp_path)
    assert "gensweep" in modules
    assert not modules & ({*SLOW} | also)
    assert not list(tmp_path.iterdir())  # and they touch nothing
