import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gensweep.figures.volume_gap import ALT
from gensweep.headline import headline
from gensweep.report import report, warnings

FIGURES = ("poison-accuracy", "volume-gap", "poison-boundaries")


def known_table():
    """The table of the figures' tests."""
    place = Path(__file__).parent / "figures" / "conftest.py"
    spec = importlib.util.spec_from_file_location("known_table", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.known_sweep()


@pytest.fixture(scope="module")
def table():
    return known_table()


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    hostile = table.assign(data_note="<script>alert(1)</script>", git_sha='"><img src=x onerror=1>')
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    return report(hostile, FIGURES, path, ["run abc is planned"]).read_text()


def test_headline_holds_the_known_numbers(table):
    lines = headline(table)
    assert lines[0] == "12 runs (poison_factor: 4 values, seed: 3 values)"
    assert "100.0 ± 0.0 % (n = 3 seeds) at β = 0" in lines[1]
    assert "94.0 ± 1.0 % (n = 3 seeds) at β = 0, 44.0 ± 1.0 % (n = 3 seeds) at β = 0.5" in lines[2]
    assert "cutoff 0.5 nats: β = 0 minus β = 0.5 is 451 ± 24 orders of magnitude" in lines[3]
    assert "12 of 12 low_ess" in lines[3]
    assert "low_ess" not in lines[4]


def test_headline_of_a_table_without_poison(table):
    assert headline(table[table["poison_factor"] == 0.0])[0] == "3 runs (seed: 3 values)"
    assert headline(table.drop(columns="poison_factor"))[0] == "12 runs (seed: 3 values)"


def test_warnings_count_and_give_a_reason(table):
    said = "\n".join(warnings(table))
    assert "basin log10_volume: 12 of 24 rows low_ess (12 runs), for example: 1.5 of 5 rays carry it" in said
    assert "box_sharpness keskar_sharpness: 3 of 12 rows not_converged (3 runs)" in said
    gone = table[table["run_id"] != "11eeeeeeeeee"]
    assert "1 run diverged or missing: poison_factor=0.02 seed=1" in warnings(gone)[0]


def test_nothing_is_loaded_from_anywhere(page):
    assert not re.search("https?:|=[\"']?//|url\\(|@import", page)
    assert len(re.findall("http", page)) <= 2  # http-equiv, and base64 by chance
    assert "default-src 'none'" in page
    assert len(page) < 10e6


def test_hostile_words_stay_words(page):
    assert "<script" not in page
    assert "onerror=1>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_warnings_come_before_figures(page):
    assert 0 < page.index("Warnings</h2>") < page.index("run abc is planned") < page.index("Figures</h2>")


def test_every_picture_has_words(page):
    class Images(HTMLParser):
        found: list = []  # noqa: RUF012

        def handle_starttag(self, tag, attrs):
            self.found += [dict(attrs)] if tag == "img" else []

    Images().feed(page)
    assert len(Images.found) == 2
    assert all(image["alt"] and image["src"].startswith("data:image/png;base64,") for image in Images.found)
    assert ALT in [image["alt"] for image in Images.found]


def test_a_figure_that_cannot_be_drawn_says_why(page):
    assert "poison-boundaries is not drawn: the table has no probability of the measure boundary" in page


def test_every_run_has_its_line(page, table):
    assert all(f"<td>{run}</td>" in page for run in table["run_id"].unique())
