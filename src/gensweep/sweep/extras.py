"""Packages that are not installed with gensweep, asked for before a run begins rather than in its midst."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from gensweep.errors import InputError

# Logger → what it imports; an extra of its own name installs them.
LOGGERS = {
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "comet": ("comet_ml",),
}


def check_installed(config: Mapping[str, Any]) -> None:
    """Whether what the logger of a config needs is there.

    Raises:
        InputError: With the command that brings it.
    """
    logger = config["logger"]["_target_"].rpartition(".")[2]
    missing = [name for name in LOGGERS.get(logger, ()) if find_spec(name) is None]
    if missing:
        raise InputError(
            f"logger={logger} needs the package {missing[0]}, which is not installed; "
            f"`pip install 'gensweep[{logger}]'` brings it, and logger=csv needs nothing"
        )
