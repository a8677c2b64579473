"""The layers of a network as matrices, and how large they are."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import functional_call, vjp

from gensweep.geometry.fold import BATCH_NORMS, CONVOLUTIONS, scale_and_shift
from gensweep.geometry.solution import TRANSPOSED
from gensweep.rng import Stream

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
SMALL = 64  # inputs up to which the matrix of a convolution is written out
TOL = 1e-6  # residual over σ² at which Lanczos stops; σ itself was then right to 1e-11


@dataclass(frozen=True)
class Layer:
    """One linear map of a network.

    Args:
        module: Where it belongs.
        weight: A matrix (out, rest), or the diagonal (out,) of a batch norm that was not folded; float64.
    """

    module: nn.Module
    weight: Tensor

    @property
    def outputs(self) -> int:
        """Rows of the matrix: hidden units of a linear layer, channels of a convolution."""
        return len(self.weight)

    @cached_property
    def frobenius(self) -> float:
        """Root of the sum of squares."""
        return self.weight.norm().item()

    @cached_property
    def spectral(self) -> float:
        """Largest singular value of the matrix; NaN when an entry is not finite."""
        if not self.weight.isfinite().all():
            return math.nan
        if self.weight.dim() == 1:
            return self.weight.abs().max().item()
        return torch.linalg.matrix_norm(self.weight, 2).item()


def layers_of(model: nn.Module) -> Iterator[Layer]:
    """Every weight with more than one dimension, reshaped to (out, rest), in the order of the parameters."""
    seen: set[int] = set()
    for module in model.modules():
        found = scale_and_shift(module) if isinstance(module, BATCH_NORMS) else None
        if found is not None:
            yield Layer(module, found[0].double())
        for weight in module.parameters(recurse=False):
            if weight.dim() > 1 and id(weight) not in seen:
                seen.add(id(weight))
                backwards = isinstance(module, TRANSPOSED) and weight is module.weight
                yield Layer(
                    module, (weight.transpose(0, 1) if backwards else weight).detach().double().flatten(1)
                )


def input_sizes(model: nn.Module, x: Tensor, dtype: torch.dtype) -> dict[nn.Module, torch.Size]:
    """The shape of what each convolution is given, (1, C, …), the first time that it is called.

    Args:
        model: Any network.
        x: A few of its inputs.
        dtype: What the network computes in, for these inputs.
    """
    probe = copy.deepcopy(model).to(dtype)
    sizes: dict[nn.Module, torch.Size] = {}

    def note(own: nn.Module, given: tuple[Tensor, ...]) -> None:
        sizes.setdefault(own, torch.Size((1, *given[0].shape[1:])))

    pairs = list(zip(model.modules(), probe.modules(), strict=True))
    for own, twin in pairs:
        if isinstance(own, CONVOLUTIONS):
            twin.register_forward_pre_hook(
                lambda _, given, named, own=own: note(own, (*given, *named.values())), with_kwargs=True
            )
    with torch.no_grad():
        probe(x)
    return sizes


class OperatorNorm(NamedTuple):
    """A norm and the bound on its error."""

    value: float
    error: float


def operator_norm(convolution: Convolution, size: torch.Size, rng: Stream) -> OperatorNorm:
    """The norm of a convolution as the map from one whole input to one whole output, bias left out.

    Stride, padding, dilation and groups are those of the layer. AᵀA is applied by the convolution and
    its transpose; its largest eigenvalue comes from Lanczos iteration.

    Args:
        convolution: In float64.
        size: Shape of its input, (1, C, …).
        rng: Draws the first vector.

    Error: ``error`` is half the residual ‖AᵀAv − σ²v‖ over σ: a singular value lies that near.
    """

    def apply(x: Tensor) -> Tensor:
        return functional_call(convolution, weights, (x,))

    weights: dict[str, Any] = {}
    if convolution.bias is not None:
        weights["bias"] = torch.zeros_like(convolution.bias)
    like = convolution.weight
    if not like.any():  # Lanczos would begin and end at zero
        return OperatorNorm(0.0, 0.0)
    if size.numel() <= SMALL:
        basis = torch.eye(size.numel(), dtype=like.dtype, device=like.device).view(-1, *size[1:])
        return OperatorNorm(torch.linalg.matrix_norm(apply(basis).flatten(1), 2).item(), 0.0)

    def normal(v: np.ndarray) -> np.ndarray:
        out, pull = vjp(apply, torch.from_numpy(v).to(like).view(size))[:2]
        return pull(out)[0].flatten().cpu().numpy()

    gram = LinearOperator((size.numel(), size.numel()), matvec=normal, dtype=np.float64)
    start = rng.normal(size.numel()).astype(np.float64)
    (square,), vector = eigsh(gram, k=1, v0=start, tol=TOL)
    v, sigma = vector[:, 0], float(np.sqrt(max(square, 0.0)))
    residual = float(np.linalg.norm(normal(v) - square * v))
    return OperatorNorm(sigma, residual / (2 * sigma) if sigma else 0.0)
