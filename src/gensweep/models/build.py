"""A module with initial weights that depend on a stream alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from gensweep.rng import Stream


def initialised(build: Callable[[], nn.Module], rng: Stream) -> nn.Module:
    """What ``build`` returns, its weights drawn under ``rng``.

    Modules draw from PyTorch's own generator when they are made. It is put back afterwards, so that
    nobody else's numbers move.
    """
    with torch.random.fork_rng():
        torch.manual_seed(rng.word())
        return build()
