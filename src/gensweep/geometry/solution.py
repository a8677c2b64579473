"""A trained network as one vector, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PerExample = Callable[[Tensor, Tensor], Tensor]  # outputs (N, C) and labels (N,) -> losses (N,)


def cross_entropy(logits_NC: Tensor, y_N: Tensor) -> Tensor:
    """−log softmax of the label, nats per example, (N,)."""
    return F.cross_entropy(logits_NC, y_N, reduction="none")


TWO_LOGITS = "two centred logits of norm 1 are ±0.71, whatever the weights"


def normalised(loss: PerExample) -> PerExample:
    """The loss of logits that are centred and scaled to norm 1 per example."""

    def of_normalised(logits_NC: Tensor, y_N: Tensor) -> Tensor:
        centred = logits_NC - logits_NC.mean(1, keepdim=True)
        return loss(centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-30), y_N)

    return of_normalised


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the trainable parameters, in the order of the flat vector.

    Args:
        shapes: Name → shape.
        transposed: Names of the weights of transposed convolutions: their filters lie along dim 1, not 0.
    """

    shapes: Mapping[str, torch.Size]
    transposed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """The layout of a module's trainable parameters."""
        shapes = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
        backwards = [name for name, module in model.named_modules() if isinstance(module, TRANSPOSED)]
        return cls(shapes, frozenset(f"{name}.weight".lstrip(".") for name in backwards))

    def filters(self, name: str, weight: Tensor) -> Tensor:
        """A view of a weight with its filters along dim 0."""
        return weight.transpose(0, 1) if name in self.transposed else weight

    @property
    def size(self) -> int:
        """Number of scalars P."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def pack(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Flat copy (P,) of tensors under these names."""
        return torch.cat([tensors[name].detach().reshape(-1) for name in self.shapes])

    def unpack(self, theta_P: Tensor) -> dict[str, Tensor]:
        """Views into ``theta_P`` in the parameters' shapes."""
        parts = theta_P.split([math.prod(shape) for shape in self.shapes.values()])
        return {
            name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }


@dataclass(frozen=True)
class Solution:
    """Where training ended, and where it began. A measure leaves it bit for bit as it was.

    Args:
        model: The architecture in eval mode, with its buffers; its own parameters are not read.
        theta_P: Final parameters θ*, (P,).
        init_P: Initial parameters θ₀, (P,), or None where they are not known.
        target_loss: The training loss that the budget asked for, in nats per example, or None.
        init_buffers: Buffers that went with θ₀, by name; None for those of a network nobody has trained yet.
        path_TP: Parameters that training passed, from θ₀ to θ*, (T, P); None when only those two were kept.
        passed: Epoch → parameters and buffers after it, by name, from 0 on; None as ``path_TP`` is.
        loss: The loss of each example that every measure is of, from float64 logits (N, C) and labels (N,).
    """

    model: nn.Module
    theta_P: Tensor
    init_P: Tensor | None = None
    target_loss: float | None = None
    init_buffers: Mapping[str, Tensor] | None = None
    path_TP: Tensor | None = None
    passed: Mapping[int, Mapping[str, Tensor]] | None = None
    loss: PerExample = cross_entropy

    @property
    def layout(self) -> Layout:
        """Names and shapes of θ."""
        return Layout.of(self.model)

    @property
    def device(self) -> torch.device:
        """Where θ lies."""
        return self.theta_P.device
