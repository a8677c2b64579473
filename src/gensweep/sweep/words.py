"""The words after ``run``, as Hydra's options and overrides."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from gensweep.errors import InputError


def hydra_words(words: list[str]) -> argparse.Namespace:
    """Hydra's options with two of our own, and the overrides, in any order.

    Raises:
        InputError: An option that there is not.
    """
    from hydra._internal.utils import get_args_parser

    known = get_args_parser()
    known.add_argument("--yes", action="store_true", help="start without being asked")
    known.add_argument("--probe", action="store_true", help="of a plan: time what nobody has timed")

    def refuse(message: str) -> NoReturn:
        raise InputError(f"run: {message}; see `gensweep run --help`")

    known.error = refuse  # type: ignore[method-assign]
    return known.parse_intermixed_args(words)


def as_text(override: str) -> str:
    """The beginnings of run names in quotes; Hydra would take 148998 for a number.

    >>> as_text("start.run=148998,12e4"), as_text("start.run=null"), as_text("seed=1")
    ("start.run='148998','12e4'", 'start.run=null', 'seed=1')
    """
    key, _, value = override.partition("=")
    names = value.split(",")
    is_name = key.endswith((".other", "start.run")) and all(n.isalnum() and n != "null" for n in names)
    return f"{key}={','.join(repr(n) for n in names)}" if is_name else override


def ordered(args: argparse.Namespace) -> list[str]:
    """The words as Hydra's own parser wants them, options first."""
    options = {
        "--cfg": args.cfg,
        "--package": args.package,
        "--info": args.info,
        "--config-dir": args.config_dir,
    }
    words = [word for option, value in options.items() if value for word in (option, value)]
    words += ["--multirun"] * args.multirun + ["--resolve"] * args.resolve
    return [*words, *args.overrides]


def hydra(words: list[str]) -> int:
    """Leave it to Hydra, and through it to the sweeper, which leaves with an exit code of its own."""
    from hydra import main as hydra_main
    from omegaconf import DictConfig

    from gensweep.sweep.compose import CONF_DIR
    from gensweep.sweep.task import task

    sys.argv = ["gensweep run", *[f"+{w}" if w.startswith("scale=") else as_text(w) for w in words]]

    @hydra_main(version_base="1.3", config_path=str(CONF_DIR), config_name="config")
    def run_job(config: DictConfig) -> str:
        return task(config)

    run_job()
    return 0
