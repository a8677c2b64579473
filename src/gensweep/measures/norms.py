"""Norms of the weights, and their products over the margin."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from gensweep.data.base import Data
from gensweep.data.resident import resident
from gensweep.geometry.fold import BATCH_NORMS, CONVOLUTIONS, Untraceable, folded, network_at
from gensweep.geometry.layers import Layer, input_sizes, layers_of, operator_norm
from gensweep.geometry.solution import Solution
from gensweep.measures.margin import over_margin_squared, training_margin
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

PER_LAYER = ("layer_frobenius", "layer_spectral", "layer_operator", "frobenius_over_spectral")
PRODUCTS = ("log10_l2", "log10_l2_bound", "log10_spectral", "log10_spectral_bound", "log10_operator")


@dataclass(frozen=True)
class Norms:
    """Products of the layers' norms over the margin, the norm of each layer and of the whole vector.

    ``log10_l2``, ``log10_spectral`` and ``log10_operator`` are log10 ∏‖Wᵢ‖²/γ² with the Frobenius, the
    spectral and the operator norm, γ the 5th percentile of the training margins; undefined where γ ≤ 0.
    ``_bound`` has a factor per layer more: 4, and for the spectral norm hᵢ, the rows of Wᵢ (hidden
    units of a linear layer, channels of a convolution). ``frobenius_over_spectral`` = Σ‖Wᵢ‖_F²/‖Wᵢ‖₂².
    ``l2_norm`` is ‖θ*‖, ``l2_distance`` ‖θ* − θ₀‖, over all parameters, nothing folded.

    Layers are the weights with more than one dimension after batch norm was folded, reshaped to
    (out, rest); one that cannot be folded is a diagonal layer. The operator norm of a convolution is
    that of the map it is, with its stride, its padding and the input size it meets. Products run over
    all layers in a row, branches of a residual sum included: with branches they bound nothing.

    Cost: 1 F for γ. Decompositions of the layers' matrices, and a power iteration per convolution on one
    feature map.

    Error: Norms are exact; an operator norm has half the residual over σ for its ``stderr``. Products
    carry the sampling error of γ.

    Invariance: The products do not change when one ReLU layer is scaled up and another down by the same
    factor; scaling single neurons moves all of them. ``l2_norm`` and ``l2_distance`` move under both.
    Folding makes all but these two blind to the scale of weights before batch norm.

    Trust: Not across depths or widths without the ``_bound`` forms, nor in residual nets, where a product
    is no bound. The spectral norm of a reshaped kernel is not that of the convolution; ``log10_operator``
    is.

    Source: Neyshabur et al. 2017 (1706.08947), §2; depth and width factors dropped as in their figures.
    ``frobenius_over_spectral``: Jiang et al. 2020 (1912.02178).

    Example: ``Norms()``
    """

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        yield Row("l2_norm", solution.theta_P.double().norm().item())
        yield distance(solution)
        try:
            model = network_of(solution)
        except Untraceable as obstacle:
            reason = f"batch norm cannot be folded: {obstacle}"
            yield from (not_applicable(quantity, reason) for quantity in PER_LAYER)
            yield from (not_applicable(quantity, reason, split="train") for quantity in PRODUCTS)
            return
        layers = list(layers_of(model))
        operators = list(operator_rows(model, layers, data, solution, rng))
        yield from layer_rows(layers)
        yield from operators
        yield from products(layers, operators, *training_margin(solution, data, rng))


def distance(solution: Solution) -> Row:
    """How far training went."""
    if solution.init_P is None:
        return not_applicable("l2_distance", "the initial parameters are not known")
    return Row("l2_distance", (solution.theta_P.double() - solution.init_P.double()).norm().item())


def network_of(solution: Solution) -> nn.Module:
    """The network at θ*, batch norm folded; as it is where there is none to fold."""
    model = network_at(solution)
    return folded(model) if any(isinstance(m, BATCH_NORMS) for m in model.modules()) else model


def layer_rows(layers: Sequence[Layer]) -> Iterator[Row]:
    """The norms of each layer's matrix, and how far they are apart."""
    for i, layer in enumerate(layers):
        yield Row("layer_frobenius", layer.frobenius, index=i)
        yield Row("layer_spectral", layer.spectral, index=i)
    ranks = [(layer.frobenius / layer.spectral) ** 2 for layer in layers if layer.spectral]
    if len(ranks) < len(layers):
        yield not_applicable("frobenius_over_spectral", "a layer has the spectral norm 0")
    else:
        yield Row("frobenius_over_spectral", sum(ranks))


def operator_rows(
    model: nn.Module, layers: Sequence[Layer], data: Data, solution: Solution, rng: Stream
) -> Iterator[Row]:
    """The operator norm of each layer."""
    x, _ = resident(data.train, data, solution.device, solution.theta_P.dtype)
    sizes = input_sizes(model, x[:2], solution.theta_P.dtype)
    for i, layer in enumerate(layers):
        module = layer.module
        if isinstance(module, (nn.Linear, *BATCH_NORMS)) or math.isnan(layer.spectral):
            yield Row("layer_operator", layer.spectral, index=i)
        elif isinstance(module, CONVOLUTIONS) and module in sizes:
            norm = operator_norm(module, sizes[module], rng.child("operator", i))
            yield Row("layer_operator", norm.value, norm.error, index=i)
        else:
            reason = f"{type(module).__name__} is no convolution or linear layer that the input passes"
            yield not_applicable("layer_operator", reason, index=i)


def products(layers: Sequence[Layer], operators: Sequence[Row], gamma: float, error: float) -> Iterator[Row]:
    """The products of the norms, with and without the factors of the bounds."""
    frobenius, spectral = [layer.frobenius for layer in layers], [layer.spectral for layer in layers]
    rows = [layer.outputs for layer in layers]
    yield over_margin("log10_l2", frobenius, gamma, error)
    yield over_margin("log10_l2_bound", [2 * norm for norm in frobenius], gamma, error)
    yield over_margin("log10_spectral", spectral, gamma, error)
    with_rows = [math.sqrt(h) * norm for h, norm in zip(rows, spectral, strict=True)]
    yield over_margin("log10_spectral_bound", with_rows, gamma, error)
    missing = [row.reason for row in operators if row.status != "ok"]
    if missing:
        yield not_applicable("log10_operator", missing[0], split="train")
    else:
        yield over_margin("log10_operator", [row.value for row in operators], gamma, error)


def over_margin(quantity: str, norms: Sequence[float], gamma: float, gamma_stderr: float) -> Row:
    """log10 of ∏norm²/γ², in log space since the product overflows."""
    total = 2 * sum(math.log10(norm) if norm > 0 else -math.inf for norm in norms)
    return over_margin_squared(quantity, total, gamma, gamma_stderr)
