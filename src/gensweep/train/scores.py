"""Loss and accuracy of every split, as training sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from gensweep.ranks import Ranks
from gensweep.train.objective import unlikelihood

CLEAN = ("train", "confusion")


def scores(
    logits: Callable[[Tensor], Tensor], splits: Mapping[str, tuple[Tensor, Tensor]], ranks: Ranks
) -> dict[str, float]:
    """``<split>_loss`` and ``<split>_accuracy`` of each split that has examples, and ``clean_loss``.

    Args:
        logits: What the network says of any number of examples, in eval mode.
        splits: Inputs and labels by name; the loss of the one named ``poison`` is −log(1−p_y).
        ranks: The processes that share the examples.

    Error: Exact for the splits; sums are in float64.
    """
    names = [name for name, (_, y) in splits.items() if len(y)]
    parts = torch.stack([sums(logits, *splits[name], ranks, name == "poison") for name in names])
    found = dict(zip(names, ranks.total(parts).tolist(), strict=True))
    numbers: dict[str, float] = {}
    for name, (loss, right, n) in found.items():
        numbers |= {f"{name}_loss": loss / n, f"{name}_accuracy": right / n}
    clean = [found[name] for name in CLEAN if name in found]
    return numbers | {"clean_loss": sum(s[0] for s in clean) / sum(s[2] for s in clean)}


def sums(logits: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, ranks: Ranks, is_poison: bool) -> Tensor:
    """Summed loss, number classified right and number of examples of this process's part, float64 (3,)."""
    mine = ranks.share(len(y))
    x, y = x[mine], y[mine]
    if not len(y):
        return torch.zeros(3, dtype=torch.float64, device=y.device)
    said = logits(x).double()
    losses = unlikelihood(said, y) if is_poison else F.cross_entropy(said, y, reduction="none")
    right = (said.argmax(1) == y).sum()
    return torch.stack([losses.sum(), right.double(), torch.full_like(losses[0], len(y))])
