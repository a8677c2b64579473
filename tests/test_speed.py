"""The page about speed is that of the kept tables, and what the tables are made of counts right."""

import doctest
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
_spec = importlib.util.spec_from_file_location("page_of_speed", ROOT / "docs" / "speed.py")
speed = importlib.util.module_from_spec(_spec)
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "docs")
    _spec.loader.exec_module(speed)

# In blocks of five vectors of 400,000 numbers, 1.6 MB each; twenty and more of them at once would show.
HOARDS = """
import sys
sys.path.insert(0, sys.argv[1])
import torch, memory
from cases import GREY, clusters, mlp, solution
from gensweep.geometry import rays, subspace
torch.set_num_threads(1)
rays.BLOCK = subspace.BLOCK = 2**21
data = clusters(GREY, 10)
solved = solution(mlp(500), data, steps=0)
for job, few, many in ("surface", 2, 8), ("rays", 6, 36), ("subspace", 6, 36):
    memory.JOBS[job](solved, data, few)
    before = memory.peak()
    memory.JOBS[job](solved, data, many)
    print(job, memory.peak() - before)
"""


@pytest.fixture
def module(monkeypatch):
    """A file of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_the_page_is_that_of_the_kept_tables():
    assert speed.page() == speed.PAGE.read_text(), "run `make docs`"
    assert speed.PICTURE.stat().st_size > 5000


def test_a_part_whose_table_is_not_there_is_left_out(tmp_path):
    assert "##" not in speed.page(tmp_path)
    columns = "job,network,peer,n_rounds,ratio,low,high,goal,met,agreement,tolerance,note\n"
    (tmp_path / "speed.csv").write_text(f"{columns}surface,MLP-20,a|b,5,101.2,99,103.4,100,yes,2e-7,1e-5,\n")
    text = speed.page(tmp_path)
    assert "| surface | MLP-20 | a\\|b | 101 (99–103) | 5 | 100 | yes | 2e-07 of 1e-05 |  |" in text
    assert text.count("##") == 1


def test_a_curve_that_rises_too_fast_is_named():
    curve = {
        "measure": "rays",
        "network": "MLP",
        "against": "cutoffs",
        "exponent": [0.9, 0.9],
        "steepest": 1.2,
    }
    assert speed.bugs(pd.DataFrame(curve)) == "rays of MLP against cutoffs"
    assert speed.bugs(pd.DataFrame(curve | {"steepest": 1.0})) == "there is none"


def test_examples_in_docstrings_hold(module):
    for tried in (speed, module("growth")):
        found = doctest.testmod(tried)
        assert found.attempted
        assert not found.failed


def test_exponents_are_those_of_powers(module):
    growth, sizes = module("growth"), np.geomspace(1, 1000, 7)
    assert growth.exponents(sizes, 3 * sizes**1.5) == pytest.approx(
        {"exponent": 1.5, "stderr": 0, "steepest": 1.5}, abs=1e-9
    )
    fixed = growth.exponents(sizes, 10 + sizes)
    assert fixed["exponent"] < 0.8 < fixed["steepest"] < 1


def test_a_curve_has_the_seconds_of_its_sizes(module):
    growth = module("growth")
    asked = []
    curve = growth.Curve("none", "MLP", "parameters", (1, 2), lambda size: lambda: asked.append(size))
    found = growth.rows(curve, rounds=2)
    assert asked == [1, 2, 1, 2, 2, 1]
    assert found["size"].tolist() == [784 + 1 + 20, 2 * 784 + 2 + 30]
    assert (found["low"] <= found["seconds"]).all()
    assert (found["seconds"] <= found["high"]).all()


def test_a_product_of_matrices_has_its_operations_and_bytes(module):
    a, b = torch.rand(30, 40), torch.rand(40, 50)
    gflop, gigabytes = module("limits").counted(lambda: (a @ b).T)
    assert gflop * 1e9 == 2 * 30 * 40 * 50
    assert gigabytes * 1e9 == 4 * (30 * 40 + 40 * 50 + 30 * 50)


def test_directions_and_columns_are_not_held_all_at_once():
    words = [sys.executable, "-c", HOARDS, BENCHMARKS]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout
    more = {job: float(mebibytes) for job, mebibytes in map(str.split, said.splitlines())}
    assert set(more) == {"surface", "rays", "subspace"}
    assert max(more.values()) < 30, more
