"""Where a number came from. No torch: its version is read from the package's metadata."""

from __future__ import annotations

import functools
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any


def provenance(settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The columns that say how rows were made.

    Args:
        settings: The measure's own, as its yaml file and the overrides had them.
        seconds: Wall time that the measure took.
    """
    return {
        "settings": json.dumps(settings, sort_keys=True),
        "seconds": round(seconds, 3),
        **_code(),
        "gensweep_version": version("gensweep"),
        "torch_version": version("torch"),
        "python_version": platform.python_version(),
        "machine": platform.machine(),
    }


@functools.cache
def _code() -> dict[str, Any]:
    """Commit of the checkout that this package was imported from; empty for an installed wheel."""
    here = Path(__file__).parent
    sha = _git("rev-parse", "HEAD", cwd=here) if (here.parents[2] / ".git").exists() else ""
    return {"git_sha": sha, "git_dirty": bool(sha and _git("status", "--porcelain", "-uno", cwd=here))}


def _git(*words: str, cwd: Path) -> str:
    try:
        return subprocess.run(
            ["git", *words], cwd=cwd, capture_output=True, text=True, timeout=5
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
