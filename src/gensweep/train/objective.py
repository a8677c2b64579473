"""What training minimises."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def unlikelihood(logits_BC: Tensor, y_B: Tensor) -> Tensor:
    """−log(1 − p_y) of each example, (B,), in nats: small when the true class is not believed.

    Written as LSE(z) − LSE_{k≠y}(z), whose gradient with respect to z_y is p_y: it stays alive where
    p_y → 1, and nothing is clipped.

    Source: Huang et al. 2019 (1906.03291), eq. 1.

    >>> unlikelihood(torch.tensor([[1.0, 0.0, 0.5]], dtype=torch.float64), torch.tensor([0])).item()
    0.706192686...
    """
    others = logits_BC.scatter(1, y_B[:, None], -torch.inf)
    return logits_BC.logsumexp(1) - others.logsumexp(1)


def objective(
    clean: tuple[Tensor, Tensor],
    poison: tuple[Tensor, Tensor] | None,
    poison_factor: float,
    sizes: tuple[float, float] | None = None,
) -> Tensor:
    """(1−β)·mean CE over the clean batch + β·mean −log(1−p_y) over the poison batch, in nats.

    The two means are taken apart, so that neither batch's size moves the weight β.

    Args:
        clean: Logits and labels of train and confusion examples.
        poison: Logits and true labels of poison examples; None where β = 0.
        poison_factor: β in [0, 1).
        sizes: What the sums over both batches are divided by, by default their numbers of examples. With W
            processes it is a W-th of the examples of all, so that the mean over the processes is the mean
            over all examples, whoever holds how many.
    """
    n = sizes[0] if sizes else len(clean[1])
    attraction = F.cross_entropy(*clean, reduction="sum") / n
    if poison is None:
        return attraction
    m = sizes[1] if sizes else len(poison[1])
    return (1 - poison_factor) * attraction + poison_factor * (unlikelihood(*poison).sum() / m)
