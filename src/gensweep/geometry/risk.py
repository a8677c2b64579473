"""The only door to a network's loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gensweep.data.base import Data, Split
from gensweep.data.resident import resident
from gensweep.geometry.derivative import (
    NoDerivative,
    autograd,
    forward_mode,
    plain_attention,
    products,
    slope,
)
from gensweep.geometry.forward import Buffers, Forward
from gensweep.geometry.perceptrons import perceptrons
from gensweep.geometry.pieces import piece
from gensweep.geometry.solution import PerExample, Solution
from gensweep.ranks import current

Product = Callable[[Tensor], Tensor]  # v_P -> H v, (P,), in the type of v


class Loss(Protocol):
    """The mean loss of a split as a function of the parameters, in nats per example."""

    def __call__(self, theta_P: Tensor, /) -> float:
        """The loss at one point."""

    def many(self, thetas: Iterable[Tensor], /) -> np.ndarray:
        """The loss at each of K points, float64 (K,)."""

    def grad(self, theta_P: Tensor, /) -> tuple[float, Tensor]:
        """The loss and its gradient (P,)."""


class SmoothLoss(Loss, Protocol):
    """A loss that can be differentiated twice."""

    def hvp(self, theta_P: Tensor, /) -> Product:
        """The product of the Hessian at one point with any vector."""


class Risk:
    """Mean loss of one split at any parameters: eval mode, no augmentation, nothing written.

    Parameters enter as functional arguments, so the module stays as it is. Losses are computed from
    the logits in float64 and summed in float64: chunking changes nothing. The cross-entropy of a
    perceptron at many points comes from `Perceptrons`: there, how many points are asked for at once changes
    the rounding. Several processes share the examples of one evaluation, and the points of ``many`` where
    each is evaluated by itself; all get all results.

    Args:
        solution: Whose network; the parameters are given with each call.
        split: Examples to average over.
        data: The constants that normalise them.
        chunk: Most examples per forward pass, or fewer where the network is faster with fewer (see `piece`);
            what is more goes through in parts of nearly one size.
        per_example: The loss of each example in place of the solution's own.

    Error: Exact for the split, up to rounding of the forward pass.
    """

    def __init__(
        self,
        solution: Solution,
        split: Split,
        data: Data,
        chunk: int = 10_000,
        per_example: PerExample | None = None,
    ) -> None:
        self.model: nn.Module = solution.model.eval()
        self.x, self.y = resident(split, data, solution.device, solution.theta_P.dtype)
        self.forward = Forward(self.model, solution.theta_P, self.x)
        self.layout = self.forward.layout
        self.chunk, self.per_example = chunk, per_example or solution.loss
        self.piece = min(chunk, piece(self.model, partial(self.forward, solution.theta_P), self.x))
        self.ranks = current()
        mine = self.x[self._mine], self.y[self._mine]
        self.perceptrons = perceptrons(self.model, self.layout, *mine, self.per_example, chunk)

    def __len__(self) -> int:
        """Number of examples N."""
        return len(self.y)

    def chunks(self, part: slice = slice(None), most: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised inputs and labels of all examples or a part of them, a piece or this many at a time."""
        x, y = self.x[part], self.y[part]
        pieces = math.ceil(len(y) / (most or self.piece))
        return zip(x.tensor_split(pieces), y.tensor_split(pieces), strict=True) if pieces else iter(())

    @property
    def _mine(self) -> slice:
        """The examples that this process takes."""
        return self.ranks.share(len(self))

    @torch.no_grad()
    def logits(self, theta_P: Tensor, buffers: Buffers | None = None) -> Tensor:
        """Outputs of the network, (N, C); ``buffers`` stand in for its own, see `batch_norm`."""
        if any(b is None for b in (buffers or {}).values()):  # so it matters who is in a chunk
            return torch.cat([self.forward(theta_P, x, buffers) for x, _ in self.chunks(most=self.chunk)])
        return self.ranks.gathered(self._outputs_of(self._mine, theta_P, buffers), len(self))

    def _outputs_of(self, part: slice, theta_P: Tensor, buffers: Buffers | None = None) -> Tensor:
        forward = self.forward.at(theta_P, buffers or {})
        outputs = [forward(x) for x, _ in self.chunks(part)]
        return torch.cat(outputs) if outputs else forward(self.x[:1])[:0]

    def losses(self, theta_P: Tensor) -> Tensor:
        """Loss of each example, float64 (N,)."""
        return self._losses(self.logits(theta_P))

    def _losses(self, logits_NC: Tensor) -> Tensor:
        return self.per_example(logits_NC.double(), self.y)

    @torch.no_grad()
    def __call__(self, theta_P: Tensor) -> float:
        """Mean loss in nats."""
        if self.perceptrons:
            return float(self.scores([theta_P])[0, 0])
        logits, y = self._outputs_of(self._mine, theta_P), self.y[self._mine]
        total = self.per_example(logits.double(), y).sum()
        return (self.ranks.total(total) / len(self)).item()

    def many(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """Mean loss at each point, float64 (K,); the points may come from a generator."""
        return self.scores(thetas)[:, 0]

    @torch.no_grad()
    def scores(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """Mean loss in nats and fraction classified right at each point, float64 (K, 2)."""
        if self.perceptrons:
            return (self.ranks.total(self.perceptrons(thetas)) / len(self)).cpu().numpy()
        rank, world = self.ranks.place.rank, self.ranks.place.world
        alone = (  # each point worked out for all examples by one process
            self._means(self._outputs_of(slice(None), theta_P)) if i % world == rank else (0.0, 0.0)
            for i, theta_P in enumerate(thetas)
        )
        return self.ranks.total(torch.tensor(list(alone), dtype=torch.float64).view(-1, 2)).numpy()

    def accuracies(self, thetas: Iterable[Tensor]) -> np.ndarray:
        """Fraction classified right at each point, float64 (K,)."""
        return self.scores(thetas)[:, 1]

    @property
    def together(self) -> int:
        """How many combinations are best asked for at once, about a second of work; 1 where each is alone."""
        return self.perceptrons.together(len(self) // self.ranks.place.world) if self.perceptrons else 1

    @property
    def held(self) -> int:
        """Scalars that are kept of each vector of combinations."""
        return self.perceptrons.held if self.perceptrons else 0

    def _means(self, logits_NC: Tensor) -> tuple[float, float]:
        """Mean loss and accuracy."""
        right_N = logits_NC.argmax(1) == self.y
        return self._losses(logits_NC).mean().item(), right_N.double().mean().item()

    def loss_and_accuracy(self, theta_P: Tensor, buffers: Buffers | None = None) -> tuple[float, float]:
        """Mean loss in nats, and the fraction classified right."""
        if self.perceptrons:
            return tuple(self.scores([theta_P])[0].tolist())
        return self._means(self.logits(theta_P, buffers))

    def grad(self, theta_P: Tensor) -> tuple[float, Tensor]:
        """Mean loss in nats and its gradient (P,).

        Raises:
            NoDerivative: Autograd cannot reach the parameters from the loss.
        """
        point = theta_P.detach().clone().requires_grad_()
        total = torch.zeros((), dtype=torch.float64, device=point.device)
        gradient = torch.zeros_like(theta_P)
        for x, y in self.chunks(self._mine):
            loss = self._share(point, x, y)
            with autograd():
                gradient += torch.autograd.grad(loss, point)[0]
            total += loss.detach()
        return self.ranks.total(total).item(), self.ranks.total(gradient)

    def example_grads(self, theta_P: Tensor, which: Iterable[int]) -> Iterator[Tensor]:
        """The gradient of the loss of single examples, (P,) each, so that N × P numbers never stand at once.

        Args:
            theta_P: Where.
            which: Places of the examples in the split.
        """
        point = theta_P.detach().clone().requires_grad_()
        for i in which:
            loss = self.per_example(self.forward(point, self.x[i : i + 1]).double(), self.y[i : i + 1])
            yield torch.autograd.grad(loss.sum(), point)[0]

    def logits_along(self, theta_P: Tensor, v_P: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of the network and their derivative along v, (N, C) each, in one forward-mode pass.

        Raises:
            NoDerivative: A step of the network knows no forward mode.
        """
        v_P = v_P.to(theta_P)
        with plain_attention():
            pairs = [
                forward_mode(partial(self.forward, x=x), theta_P, v_P) for x, _ in self.chunks(self._mine)
            ]
        return self._stacked([f for f, _ in pairs]), self._stacked([u for _, u in pairs])

    def _stacked(self, pieces: list[Tensor]) -> Tensor:
        """The outputs for all examples, from the pieces of this process's part."""
        none = self.model(self.x[:1])[:0].detach()
        return self.ranks.gathered(torch.cat([none, *pieces]), len(self))

    def hvp(self, theta_P: Tensor) -> Product:
        """The Hessian at a point as a function v ↦ Hv, by differentiating the gradient once more.

        The graph of the gradient is kept and serves every product, which halves their cost. A split of
        more than ``chunk`` examples is one whose graph would not fit, so there it is built anew each time.

        Error: Exact almost everywhere, up to rounding; the kinks of ReLU and max-pooling carry no curvature.

        Raises:
            NoDerivative: A step of the network can be differentiated once at most.
        """
        point = theta_P.detach().clone().requires_grad_()
        mine = self._mine
        fits = mine.stop - mine.start <= self.chunk

        def slopes() -> Iterator[Tensor]:
            with plain_attention():
                for x, y in self.chunks(mine):
                    yield slope(self._share(point, x, y), point)

        product = products(slopes, point, fits)
        return lambda v_P: self.ranks.total(product(v_P))

    def _share(self, point: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """What a chunk adds to the mean loss."""
        share = self.per_example(self.forward.at(point, {})(x).double(), y).sum() / len(self)
        if not share.requires_grad:
            raise NoDerivative("autograd finds no way from the loss to the parameters: a no_grad, a detach?")
        return share
