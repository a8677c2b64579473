"""How a network is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from gensweep.train.schedule import Schedule


@dataclass(frozen=True)
class Protocol:
    """How a network is trained.

    Args:
        poison_factor: β in [0, 1).
        batch_size: Examples per clean and per poison batch.
        optimiser: From parameters to an optimiser.
        max_epochs: Passes over the clean examples.
        max_steps: Updates, or None.
        target_loss: Stop at the first check with a clean loss at or below this, nats, or None.
        check_every: Epochs between checks: evaluation, stop, checkpoint.
        schedule: The factor on the learning rate.
        augment: Whether training images are cropped and flipped at random.
        clip_norm: Largest norm of the gradient, or None.
        precision: ``bfloat16`` for products of forward and backward pass in it, beside float32 weights; any
            other word leaves the arithmetic to the type of the weights.
    """

    poison_factor: float
    batch_size: int
    optimiser: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    max_epochs: int
    max_steps: int | None = None
    target_loss: float | None = None
    check_every: int = 1
    schedule: Schedule = field(default_factory=Schedule)
    augment: bool = False
    clip_norm: float | None = None
    precision: str = "float32"
