"""Where modules draw from PyTorch's own generator: under a stream, and scoped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from gensweep.rng import Stream

T = TypeVar("T")


def drawn(call: Callable[[], T], rng: Stream) -> T:
    """What ``call`` returns, whatever it draws from PyTorch's own generator drawn under ``rng``.

    Weights when a module is made, dropout when it is run. The generator is put back afterwards, so that
    nobody else's numbers move.
    """
    with torch.random.fork_rng():
        torch.manual_seed(rng.word())
        return call()


def draws(model: nn.Module) -> bool:
    """Whether a pass in training mode may draw: dropout does, and in foreign code there is no telling."""
    if type(model).__module__.partition(".")[0] not in ("gensweep", "torch"):
        return True
    return any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in model.modules())
