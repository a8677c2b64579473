"""Units of length in weight space, and directions measured in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gensweep.geometry.lanczos import Hessian
from gensweep.geometry.risk import Product
from gensweep.geometry.solution import Layout, Solution
from gensweep.rng import Stream


@dataclass(frozen=True)
class Metric:
    """A positive diagonal change of units, θ = θ* + scale ∘ z.

    Args:
        scale_P: Length of the unit along each parameter, ≥ 0; a parameter with 0 stays where it is.

    The volume measured in z, times e^``logdet``, is the Euclidean volume.
    """

    scale_P: Tensor

    @property
    def dimensions(self) -> int:
        """How many scalars are perturbed, n."""
        return int((self.scale_P > 0).sum())

    @property
    def logdet(self) -> float:
        """Σ ln scale over the perturbed scalars."""
        return self.scale_P[self.scale_P > 0].double().log().sum().item()

    def direction(self, rng: Stream) -> Tensor:
        """One step of length 1 in a direction uniform in z, (P,): scale ∘ u with ‖u‖ = 1."""
        u = torch.from_numpy(rng.normal(len(self.scale_P))).to(self.scale_P) * (self.scale_P > 0)
        return self.scale_P * (u / u.double().norm()).to(self.scale_P)

    def draw(self, rng: Stream) -> Tensor:
        """The direction u that `direction` takes on the same stream, float64 (n,), ‖u‖ = 1."""
        u = torch.from_numpy(rng.normal(len(self.scale_P))).to(self.scale_P.device)[self.scale_P > 0].double()
        return u / u.norm()

    def step(self, z_N: Tensor) -> Tensor:
        """What z (n,) of the perturbed parameters means in all of them, scale ∘ z, (P,)."""
        step_P = torch.zeros(len(self.scale_P), dtype=z_N.dtype, device=z_N.device)
        step_P[self.scale_P > 0] = z_N
        return self.scale_P * step_P

    def hessian(self, product: Product) -> Hessian:
        """The Hessian in z, (n, n), from its products in the parameters."""
        inside_P = self.scale_P > 0
        return Hessian(lambda z_N: (self.scale_P * product(self.step(z_N)))[inside_P], self.scale_P[inside_P])


def euclidean(solution: Solution) -> Metric:
    """All parameters, one unit each."""
    return Metric(torch.ones_like(solution.theta_P))


def filterwise(solution: Solution) -> Metric:
    """One unit changes a typical filter by its own norm; biases and other 1-D tensors stay.

    The scale of a weight is √n · rms(its filter), where n counts the perturbed weights, so that a step
    of length r in a random direction changes each filter by about r times its norm. Unlike `li_direction`
    it is linear in z, so a volume in it means something.
    """
    return _relative(solution, lambda weight: _rms(weight.flatten(1)))


def layerwise(solution: Solution) -> Metric:
    """One unit changes a typical layer by its own norm: `filterwise` with whole tensors for filters."""
    return _relative(solution, lambda weight: _rms(weight.reshape(1, -1)))


def _relative(solution: Solution, rms: Callable[[Tensor], Tensor]) -> Metric:
    layout, scales = solution.layout, {}
    for name, w in layout.unpack(solution.theta_P).items():
        scales[name] = torch.zeros_like(w)
        if w.dim() > 1:
            filters = layout.filters(name, scales[name])
            filters += rms(layout.filters(name, w)).reshape(-1, *[1] * (w.dim() - 1))
    rms_P = layout.pack(scales)
    return Metric(rms_P * math.sqrt((rms_P > 0).sum().item()))


def _rms(rows: Tensor) -> Tensor:
    """Root mean square of each row; a dead one gets 1e-10."""
    return rows.square().mean(1).sqrt().clamp_min(1e-10)


METRICS = {"euclidean": euclidean, "filter": filterwise, "layer": layerwise}


def li_direction(layout: Layout, theta_P: Tensor, rng: Stream) -> Tensor:
    """A filter-normalised direction for pictures, (P,).

    Each filter of a Gaussian draw is rescaled to the norm of the weight filter it stands over; biases
    and other 1-D tensors get zero. A filter is what makes one output channel.

    Source: Li et al. 2018 (1712.09913), §4, with ``ignore=biasbn`` as in their published figures.
    """
    draw = layout.unpack(torch.from_numpy(rng.normal(len(theta_P))).to(theta_P))
    for name, weight in layout.unpack(theta_P).items():
        if weight.dim() <= 1:
            draw[name].zero_()
        else:
            _rescale(layout.filters(name, draw[name]), layout.filters(name, weight))
    return layout.pack(draw)


def _rescale(draw: Tensor, weight: Tensor) -> None:
    """Give each filter of a draw, along dim 0, the norm of the weight's."""
    lengths = weight.flatten(1).norm(dim=1) / (draw.flatten(1).norm(dim=1) + 1e-10)
    draw *= lengths.reshape(-1, *[1] * (weight.dim() - 1))
