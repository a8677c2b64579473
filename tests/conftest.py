"""Fixtures that every test may use."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True)
def _one_thread():
    """Two fighting threads are slower than one; nothing here depends on their number."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def pytest_collection_modifyitems(items):
    """Slow tests first: one worker takes them while the other does the rest."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
