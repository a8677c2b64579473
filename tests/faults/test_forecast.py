"""What a plan says a study will take, held against what it took."""

import os
import re
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.faults
STUDY = ("experiment=quickstart", "seed=0,1")


def gensweep(folder, *words):
    command = [sys.executable, "-m", "gensweep", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, timeout=1200
    ).stdout


def planned(folder, *words):
    """Seconds, and where they come from."""
    out = gensweep(folder, "plan", *words)
    (said,) = re.findall(r"^time +about (.*), 2 at a time$", out, re.M)
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", said)
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds, out


def took(folder, *words):
    started = time.monotonic()
    gensweep(folder, "run", *words)
    return time.monotonic() - started


def test_the_quick_study_takes_what_its_plan_says_within_a_factor_two(tmp_path):
    said, out = planned(tmp_path, "--probe", *STUDY, "seed=0")
    assert "estimate from a probe" in out
    assert os.listdir(tmp_path) == []
    real = took(tmp_path, *STUDY, "seed=0")
    print(f"from a probe: planned {said} s, took {real:.0f} s, ratio {real / said:.2f}")
    assert 0.5 < real / said < 2
    said, out = planned(tmp_path, *STUDY)
    assert "measured on" in out
    assert "estimate" not in out
    real = took(tmp_path, *STUDY)
    print(f"from this store: planned {said} s, took {real:.0f} s, ratio {real / said:.2f}")
    assert 0.5 < real / said < 2
