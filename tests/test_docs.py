"""The pages under docs/ say what the code says, and their examples run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "pages.py")
pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pages)


def test_pages_are_those_that_the_docstrings_make():
    made = pages.pages()
    assert {path.name for path in made} == {path.name for path in pages.PAGES.iterdir()}
    stale = [path.name for path, text in made.items() if path.read_text() != text]
    assert not stale, "run `make docs`"


@pytest.mark.parametrize("measure", pages.names())
def test_a_page_says_what_it_must(measure):
    text = pages.page(measure)
    for heading in ("Cost", "Error", "Invariance", "When not to trust it", "Example"):
        assert f"## {heading}\n" in text, heading
    assert "``" not in text.replace("```", "")


@pytest.mark.parametrize("measure", pages.names())
def test_the_example_of_a_page_runs(measure, capsys):
    (block,) = re.findall(r"```python\n(.*?)```", pages.page(measure), re.S)
    names = {}
    exec(block, names)  # a page that we wrote
    table = names["table"]
    assert set(table.measure) == {measure}
    assert (table.status == "ok").any() or measure == "curve"  # which a run alone has kept epochs for
    assert (table.status.eq("ok") | table.reason.ne("")).all()
    assert capsys.readouterr().out
