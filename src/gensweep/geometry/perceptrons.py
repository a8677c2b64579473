"""Losses of a perceptron at many parameter vectors, worked out together."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gensweep.geometry.combinations import Combinations
from gensweep.geometry.solution import Layout, PerExample, cross_entropy
from gensweep.models.mlp import MLP

# What a perceptron is made of; what has no letter leaves vectors as they are in eval mode.
KINDS: dict[type, str] = {nn.Linear: "L", nn.ReLU: "R", nn.Flatten: "", nn.Dropout: "", nn.Identity: ""}
LEAST, MOST = 128, 2048  # examples at a time
PIECE, CACHED = (
    2**17,
    2**20,
)  # scalars of the widest layer's outputs: of one point, of those worked out at once
HELD = 2**27  # scalars of first layers that are kept from one call to the next: 512 MB of float32
GROUP = 2**24  # scalars of parameters that are laid side by side: 64 MB
WORK = 10**10  # products, about a second
BIT = 1 / math.log(2)  # of a nat
LARGEST = 40.0  # nats above which log(1 + e^x) is x in float64 too


class Piece(NamedTuple):
    """Some examples as columns, their labels, and −∞ at the label, 0 at the other classes."""

    x_DB: Tensor
    y_B: Tensor
    others_CB: Tensor


class Perceptrons:
    """Cross-entropy and accuracy of one perceptron at many parameter vectors, on the same examples.

    Units come before examples, so that the layers of many points make one product. Where points are
    `Combinations`, so are the outputs of the first layer: those of each vector serve all points.

    Args:
        layers: Names of weight and bias, or None, of each linear layer; ReLU is between them.
        layout: Of the parameters, which come in the same order.
        x_ND: Examples.
        y_N: Their labels.
        single_logit: Whether the one output z stands for the logits (0, z).
        most: Examples at a time, or fewer where that is faster.

    Error: Rounding in the type of the parameters, which depends on the number of points; losses have the
    relative precision of that type however small they are. Sums over examples are in float64.
    """

    def __init__(
        self,
        layers: Sequence[tuple[str, str | None]],
        layout: Layout,
        x_ND: Tensor,
        y_N: Tensor,
        single_logit: bool,
        most: int,
    ) -> None:
        self.layers, self.shapes, self.single_logit = layers, layout.shapes, single_logit
        self.x_ND, self.y_N = x_ND, y_N
        sizes = [layout.shapes[weight][0] for weight, _ in layers]
        self.first = sum(layout.shapes[name].numel() for name in layers[0] if name)
        self.rest = layout.size - self.first
        self.classes = max(2, sizes[-1])
        self.held = sizes[0] * len(y_N)
        self.examples = min(most, max(LEAST, min(MOST, PIECE // max(sizes))))
        self.points = max(1, CACHED // (self.examples * max(sizes)))
        self.kept: tuple[Tensor, list[Tensor]] | None = None

    def together(self, examples: int) -> int:
        """How many combinations are about a second of work with so many examples, and two at least."""
        return max(2, WORK // max(1, examples * self.rest))

    @cached_property
    def _others_CN(self) -> Tensor:
        """−∞ at the label, 0 at the other classes."""
        zeros_CN = torch.zeros(self.classes, len(self.y_N), dtype=self.x_ND.dtype, device=self.y_N.device)
        return zeros_CN.scatter_(0, self.y_N[None], -math.inf)

    @torch.no_grad()
    def __call__(self, points: Iterable[Tensor]) -> Tensor:
        """Sum of the losses in nats and number of examples classified right at each point, float64 (K, 2)."""
        if isinstance(points, Combinations):
            group = max(1, GROUP // max(1, self.rest))
            found = [self._combined(points[k : k + group]) for k in range(0, len(points), group)]
        else:
            found = [
                self._stacked(group) for group in _grouped(points, max(1, GROUP // (self.first + self.rest)))
            ]
        return torch.cat([self._zeros(0), *found])

    def _stacked(self, thetas: list[Tensor]) -> Tensor:
        """Of any points: their first layers make one product."""
        totals = []
        for k in range(0, len(thetas), self.points):
            theta_KP = torch.stack(thetas[k : k + self.points])
            total = self._zeros(len(theta_KP))
            for piece in self._pieces():
                total += self._sums(self._first(theta_KP, piece.x_DB), theta_KP[:, self.first :], piece)
            totals.append(total)
        return torch.cat(totals)

    def _zeros(self, points: int) -> Tensor:
        return torch.zeros(points, 2, dtype=torch.float64, device=self.y_N.device)

    def _combined(self, points: Combinations) -> Tensor:
        """Of combinations, in the outputs of the first layer as in the parameters of the others."""
        fits = len(points.vectors_JP) * self.held <= HELD
        if not fits and len(points) <= len(points.vectors_JP):
            return self._stacked(list(points))
        rest_KR = points.of(points.vectors_JP[:, self.first :])
        totals = self._zeros(len(points))
        for front_JHB, piece in zip(self._fronts(points.vectors_JP, fits), self._pieces(), strict=True):
            for k in range(0, len(points), self.points):
                part = slice(k, k + self.points)
                totals[part] += self._sums(points[part].of(front_JHB), rest_KR[part], piece)
        return totals

    def _fronts(self, vectors_JP: Tensor, keep: bool) -> Iterable[Tensor]:
        """The first layer's outputs of each vector, (J, H, B), piece by piece."""
        if self.kept and self.kept[0] is vectors_JP:
            return self.kept[1]
        self.kept = None  # before the next ones are made
        made = (self._first(vectors_JP, piece.x_DB) for piece in self._pieces())
        if not keep:
            return made
        self.kept = vectors_JP, list(made)
        return self.kept[1]

    def _pieces(self) -> Iterator[Piece]:
        pieces = max(1, math.ceil(len(self.y_N) / self.examples))
        columns = (a.tensor_split(pieces, -1) for a in (self.x_ND.T, self.y_N, self._others_CN))
        return map(Piece, *columns)

    def _first(self, theta_KP: Tensor, x_DB: Tensor) -> Tensor:
        """Outputs of the first layer, (K, H, B), before ReLU."""
        ((weight_KHD, bias_KH1),) = self._unpacked(theta_KP[:, : self.first], self.layers[:1])
        flat = weight_KHD.flatten(0, 1) @ x_DB
        return flat.view(*weight_KHD.shape[:2], -1).add_(bias_KH1)

    def _unpacked(self, theta_KP: Tensor, layers: Sequence[Any]) -> Iterator[tuple[Tensor, Tensor]]:
        """Weights (K, out, in) and biases (K, out, 1) of layers that follow one another."""
        for names in layers:
            sizes = [self.shapes[name].numel() if name else 0 for name in names]
            weight, bias, theta_KP = theta_KP.split([*sizes, theta_KP.shape[1] - sum(sizes)], 1)
            weight_KOI = weight.unflatten(1, self.shapes[names[0]])
            yield weight_KOI, bias[..., None] if names[1] else bias.new_zeros(1, 1, 1)

    def _sums(self, z_KHB: Tensor, rest_KR: Tensor, piece: Piece) -> Tensor:
        """What a piece adds to the totals, (K, 2), from outputs of its first layer, which are written to."""
        layers = list(self._unpacked(rest_KR, self.layers[1:]))
        for i, (weight_KOI, bias_KO1) in enumerate(layers, 1):
            unit = BIT if i == len(layers) else 1.0
            z_KHB = torch.baddbmm(bias_KO1, weight_KOI, z_KHB.relu_(), beta=unit, alpha=unit)
        if not layers:
            z_KHB.mul_(BIT)
        if self.single_logit:
            z_KHB = torch.cat([torch.zeros_like(z_KHB), z_KHB], 1)
        losses_KB, hits_KB = losses_and_hits(z_KHB, piece.y_B, piece.others_CB)
        return torch.stack([losses_KB.sum(1, dtype=torch.float64), hits_KB.sum(1)], 1)


def losses_and_hits(bits_KCB: Tensor, y_B: Tensor, others_CB: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy in nats, and whether the first of the largest logits is the label's, (K, B) each.

    Args:
        bits_KCB: Logits over ln 2, of two classes or more; written to.
        y_B: Labels.
        others_CB: −∞ at the label, 0 at the other classes.

    The loss is ln(1 + Σ_c e^(l_c − l_y)) over the other classes, which loses no digits where it is small.
    """
    label_K1B = y_B.expand(len(bits_KCB), 1, -1)
    own_K1B = bits_KCB.gather(1, label_K1B)
    others_KCB = bits_KCB.add_(others_CB)
    most_K1B = others_KCB.amax(1, keepdim=True)
    hits_K1B, ties_K1B = own_K1B > most_K1B, own_K1B == most_K1B
    if ties_K1B.any():
        hits_K1B |= ties_K1B & (label_K1B < others_KCB.argmax(1, keepdim=True))
    sums_K1B = others_KCB.sub_(most_K1B).exp2_().sum(1, keepdim=True)  # four times as fast as exp
    log_odds_K1B = sums_K1B.log2_().add_(most_K1B).sub_(own_K1B)
    losses_K1B = F.softplus(log_odds_K1B, beta=1 / BIT, threshold=LARGEST).div_(BIT)
    return losses_K1B[:, 0], hits_K1B[:, 0]


def _grouped(points: Iterable[Tensor], size: int) -> Iterator[list[Tensor]]:
    ahead = iter(points)
    while group := list(islice(ahead, size)):
        yield group


def perceptrons(
    model: nn.Module, layout: Layout, x: Tensor, y: Tensor, loss: PerExample, most: int
) -> Perceptrons | None:
    """The network as `Perceptrons`, or None where it is something else.

    It has to be an `MLP`, or an `nn.Sequential` of linear layers with ReLU between them, without hooks,
    with nothing frozen and nothing shared, and the loss the cross-entropy.

    Args:
        model: In eval mode.
        layout: Of its parameters.
        x: Examples (N, …).
        y: Labels.
        loss: Of each example.
        most: Examples at a time.
    """
    prefix, single = ("layers.", model.single_logit) if isinstance(model, MLP) else ("", False)
    inner = model.layers if type(model) is MLP else model
    linear = _linear(inner) if type(inner) is nn.Sequential else []
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    hooks = any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    if loss is not cross_entropy or not linear or hooks or names != list(layout.shapes):
        return None
    flat = x.dim() == 2 or isinstance(next(iter(inner.children())), nn.Flatten)
    if not flat or (linear[-1][1].out_features < 2 and not single):
        return None
    layers = [
        (f"{prefix}{i}.weight", None if layer.bias is None else f"{prefix}{i}.bias") for i, layer in linear
    ]
    return Perceptrons(layers, layout, x.flatten(1), y, single, most)


def _linear(layers: nn.Sequential) -> list[tuple[int, nn.Linear]]:
    """The linear layers with their places, or none where not exactly one ReLU is between them."""
    kinds = "".join(KINDS.get(type(layer), "?") for layer in layers)
    linear = [(i, layer) for i, layer in enumerate(layers) if isinstance(layer, nn.Linear)]
    plain = all(layer.start_dim == 1 for layer in layers if isinstance(layer, nn.Flatten))
    return linear if plain and re.fullmatch("L(RL)*", kinds) else []
