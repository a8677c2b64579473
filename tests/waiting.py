"""Waiting for what a process of a test will do."""

import time

import pytest


def wait_for(what, seconds=60):
    """The first true value of what(); fails rather than hang."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail("waited in vain")
