"""Every command and every Python block of README.md, run as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("GENSWEEP_DATA") or ROOT.parent / "shared" / "data")
# The suite that runs this test, and what only a person can do.
NOT_HERE = ("make test", "git clone", "cd gensweep")


def commands() -> list[str]:
    """The lines of all ``sh`` blocks, continuation lines joined, comments off."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    found = [re.sub(r"\s+# .*$", "", line).strip() for line in lines]
    return [line for line in found if line and not line.startswith(("#", *NOT_HERE))]


def copied(folder: Path) -> Path:
    """The repository as a fresh clone would have it, with this environment in place of a new one."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(
        listed, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not (Path(sys.prefix) / ".ready").exists(), reason="not the environment that make built")
def test_every_command_of_the_readme_runs(tmp_path):
    folder = copied(tmp_path / "gensweep")
    path = f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "GENSWEEP_DATA": str(DATA)}
    lines = [line for line in commands() if "data=mnist" not in line or (DATA / "mnist").exists()]
    assert "make quickstart" in lines
    assert len(lines) >= 10
    for line in lines:
        done = subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    for name in ("table.parquet", "table.csv", "report.html", "poison-accuracy.pdf", "volume-gap.png"):
        assert (folder / "outputs" / "quickstart" / name).stat().st_size > 1000


def test_every_python_block_of_the_readme_runs(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert blocks
    for block in blocks:
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "path_norms" in done.stdout
    assert not list(tmp_path.iterdir())


def test_every_file_that_the_readme_lists_is_there():
    tree = re.search(r"```text\n(gensweep/\n.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    for line in tree.splitlines()[1:]:
        name = line.split()[0]
        assert list(ROOT.glob(name)), name
