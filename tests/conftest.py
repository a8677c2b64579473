"""Fixtures that every test may use."""

from __future__ import annotations

import sys

import pytest

from tests.faults import matrix


@pytest.fixture(autouse=True)
def _one_thread():
    """Two fighting threads are slower than one; nothing here depends on their number."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Slow tests first: one worker takes them while the other does the rest."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    matrix.note_markers(items)


def pytest_terminal_summary(terminalreporter):
    """The table fault × oracle, where tests of faults were run."""
    for line in matrix.lines(terminalreporter.stats):
        terminalreporter.write_line(line)
