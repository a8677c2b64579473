"""The tables in the repository draw every figure, the same bytes each time, and the gallery is theirs."""

import contextlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from gensweep.claims.claim import judge
from gensweep.claims.sheet import tally
from gensweep.claims.written import claims
from gensweep.errors import InputError
from gensweep.figures import base
from gensweep.table.read import load

ROOT = Path(__file__).parents[2]
TABLES = ROOT / "docs" / "tables"
_spec = importlib.util.spec_from_file_location("gallery", ROOT / "docs" / "gallery.py")
gallery = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gallery)

SLOW = "perturbation-animation"  # half a minute of frames; its own test draws two of them twice
DRAW = """
import sys
from pathlib import Path
from gensweep.figures import base
for name in sys.argv[3:]:
    base.draw(name, Path(sys.argv[1]), Path(sys.argv[2]))
assert not {"torch", "lightning", "hydra"} & {*sys.modules}
"""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Two folders with all figures, each drawn by a process of its own that knows no torch."""
    folders = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    again = [name for name in base.names() if name != SLOW][::2]  # the others have tests of their own
    asked = [[TABLES, folder, *names] for folder, names in zip(folders, (base.names(), again), strict=True)]
    words = [[sys.executable, "-W", "error", "-c", DRAW, *map(str, one)] for one in asked]
    started = [subprocess.Popen(w, stderr=subprocess.PIPE, text=True) for w in words]
    for process in started:
        _, said = process.communicate(timeout=600)
        assert process.returncode == 0, said
    return folders


@pytest.fixture(scope="module")
def table():
    return load(TABLES)


@pytest.fixture(scope="module")
def verdicts(table):
    """Of every claim; half a minute of bootstraps."""
    return [judge(claim, table) for claim in claims()]


@pytest.mark.slow
def test_every_figure_is_redrawn_byte_for_byte_without_torch(drawn):
    first, second = drawn
    names = sorted(path.name for path in second.iterdir())
    assert {*names} <= {path.name for path in first.iterdir()}
    assert {path.stem for path in first.glob("*.pdf")} == {*base.names()}
    differ = [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]
    assert not differ


def test_the_gallery_is_that_of_the_tables(drawn, verdicts):
    about = {name: json.loads((drawn[0] / f"{name}.json").read_text()) for name in gallery.figures()}
    assert gallery.PAGE.read_text() == gallery.page(verdicts, about), "run `make docs`"
    for name in gallery.figures():
        assert (gallery.PICTURES / f"{name}.png").stat().st_size > 5000


def test_every_claim_has_a_verdict_from_rows_that_are_there(verdicts):
    assert len(verdicts) >= 30
    empty = [v.claim.id for v in verdicts if v.why.startswith(("no rows", "no runs", "the table has no"))]
    assert not empty
    assert tally(verdicts) in (ROOT / "README.md").read_text()


def test_kept_tables_are_small_committed_code_and_name_no_place(table):
    sizes = {path.name: path.stat().st_size for path in TABLES.iterdir()}
    assert all(name.endswith("-laptop.parquet") for name in sizes)
    assert max(sizes.values()) < 2_000_000, sizes
    assert sum(sizes.values()) < 10_000_000, sizes
    assert not table["git_dirty"].astype(bool).any()
    text = table.select_dtypes(include=["object", "string"])
    for column in text:
        places = [value for value in text[column].dropna().unique() if str(value).startswith(("/", "~"))]
        assert not places, column


OTHERS = ("invariance", "measures-vs-gap", "perturbed-networks")


@pytest.mark.parametrize(("place", "name"), [*enumerate(base.names())])
def test_a_figure_draws_or_refuses_a_table_of_other_runs(place, name, tmp_path):
    others = [other for other in OTHERS if other not in base.drawn_from(name)]
    with contextlib.suppress(InputError):
        base.draw(name, load(TABLES, [others[place % len(others)]]), tmp_path)
