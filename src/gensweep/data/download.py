"""Fetches a data set's Parquet files from the Hugging Face hub."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from gensweep.errors import InputError


def check_hub(repo: str) -> None:
    """Whether the client of the hub is there, asked before a run begins.

    Raises:
        InputError: It is not installed.
    """
    if sys.modules.get("huggingface_hub") is None and find_spec("huggingface_hub") is None:
        raise InputError(
            f"data.download=true needs the package huggingface_hub to fetch {repo}; "
            "install it with: pip install 'gensweep[hub]'."
        )


def fetch(repo: str, repo_folder: str, folder: Path) -> None:
    """Brings the files of one data set into ``folder``; what is there already is not fetched again.

    Args:
        repo: The repository on the hub, ``owner/name``.
        repo_folder: The folder in it; it becomes a sub-folder of ``folder``.
        folder: Where to.

    Raises:
        InputError: The optional package is not installed, or the hub cannot be reached.
    """
    check_hub(repo)
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            repo, repo_type="dataset", allow_patterns=f"{repo_folder}/*.parquet", local_dir=folder
        )
    except Exception as error:  # the hub's client, its HTTP library and the disk each raise their own
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"{repo} could not be fetched from the Hugging Face hub into {folder} ({reason}); "
            "try again with a network, or put its files there by hand."
        ) from error
