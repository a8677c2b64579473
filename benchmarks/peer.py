"""How a peer is asked: one that is not installed, or that fails, says so in the table."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch

# Module → distribution, and how to get it.
INSTALL = {
    "curvlinops": ("curvlinops-for-pytorch", "make bench"),
    "pyhessian": ("pyhessian", "make bench"),
    "loss_landscapes": ("loss-landscapes", "make bench"),
    "pathnorm": ("pathnorm", "put a checkout of github.com/agonon/pathnorm-pytorch on PYTHONPATH"),
    "torchmetrics": ("torchmetrics", "make setup"),
    "sklearn": ("scikit-learn", "make setup"),
    "scipy": ("scipy", "make setup"),
    "numpy": ("numpy", "make setup"),
    "torch": ("torch", "make setup"),
}


@dataclass(frozen=True)
class Peer:
    """What a peer answers.

    Args:
        name: Library and version.
        value: One number, or one for each of several; None when there is none.
        note: Its method and cost; or why there is no value.
    """

    name: str
    value: np.ndarray | float | None
    note: str


Answer = tuple[np.ndarray | float, str]


def installed(module: str) -> str | None:
    """The version of a peer, empty when it states none; None when it cannot be imported."""
    try:
        if importlib.util.find_spec(module) is None:
            return None
    except ValueError:  # a module that was blocked
        return None
    try:
        return version(INSTALL[module][0])
    except PackageNotFoundError:
        return ""


def asked(module: str, question: Callable[[], Answer]) -> Peer:
    """The answer of a peer; it draws its random numbers from seed 0, in float64, and leaves no trace."""
    found = installed(module)
    if found is None:
        return Peer(module, None, f"not installed: {INSTALL[module][1]}")
    name = f"{module} {found}".strip()
    before = torch.get_default_dtype()
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        torch.set_default_dtype(torch.float64)
        try:
            return Peer(name, *question())
        except Exception as error:  # a finding, whatever it is
            return Peer(name, None, f"fails: {type(error).__name__}: {str(error).splitlines()[0][:34]}")
        finally:
            torch.set_default_dtype(before)
