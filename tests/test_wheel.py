"""The package as pip installs it, away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the built wheel unpacked by pip."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder


def test_the_wheel_carries_configs_templates_and_plugins(installed):
    (wheel,) = installed.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "conf/config.yaml",
        "conf/measure/basin.yaml",
        "report.html.j2",
        "figures/gensweep.mplstyle",
    ):
        assert f"gensweep/{needed}" in names
    assert "hydra_plugins/gensweep_sweeper/plugin.py" in names


def test_it_finds_its_configs_and_sweeps_outside_the_repository(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed / "site")}
    tiny = "train_size=60 model.widths=[4] budget.max_epochs=1 measure=[error] seed=0,1"
    where = "import gensweep.sweep.compose as c; print(c.CONF_DIR)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert Path(found.stdout.strip()) == installed / "site" / "gensweep" / "conf"
    done = subprocess.run(
        [sys.executable, "-m", "gensweep", "run", "-m", *tiny.split()],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 done, 0 diverged, 0 failed" in done.stdout
    assert len(list((tmp_path / "outputs" / "runs").glob("*/rows/error-*.parquet"))) == 2
