"""The current folder may be somebody's results: no file in it stands in for a package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.fault("F11", "O6")

TINY = ("train_size=60", "model.widths=[4]", "budget.max_epochs=1", "measure=[error]")
TRAPS = ("yaml", "pandas", "torch", "pickle", "signal", "json", "sklearn", "tensorboard")


@pytest.mark.slow
@pytest.mark.parametrize("words", [["collect"], ["run", *TINY], ["run", "-m", *TINY, "seed=0"]], ids=len)
def test_no_file_in_the_current_folder_is_imported(words, tmp_path):
    trap = f"open({str(tmp_path / 'hit')!r}, 'w')\nraise ImportError('trap')\n"
    for name in TRAPS:
        (tmp_path / f"{name}.py").write_text(trap)
    (tmp_path / "hydra_plugins").mkdir()
    (tmp_path / "hydra_plugins" / "evil.py").write_text(trap)
    (tmp_path / "matplotlibrc").write_text("backend: module://yaml\n")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    env.pop("PYTHONSAFEPATH", None)
    command = [sys.executable, "-m", "gensweep", *words]
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert ended.returncode == (2 if words == ["collect"] else 0), ended.stderr
    assert not (tmp_path / "hit").exists()
