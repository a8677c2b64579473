"""Where modules draw from PyTorch's own generator: under a stream, and scoped."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

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
