"""How much the training loss rises when every weight moves relative to its own size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gensweep.data.base import Data, Split
from gensweep.geometry.box import BALLS, SPREAD, box_maximum
from gensweep.geometry.noise import expected_rise, gaussian, uniform
from gensweep.geometry.risk import Loss, Risk
from gensweep.geometry.solution import TWO_LOGITS, Solution, normalised
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

LAWS = {"l2": gaussian, "linf": uniform}
KINDS = ("worst_{}", "worst_{}_spread", "worst_{}_per_block", "worst_{}_per_block_spread", "average_{}")


@dataclass(frozen=True)
class AdaptiveSharpness:
    """Rise of the training loss over δᵢ = |θᵢ|·zᵢ, which no rescaling between ReLU layers changes.

    ``worst_l2`` is the largest rise over ‖z‖ ≤ ρ, ``worst_linf`` over |zᵢ| ≤ ρ. ``…_per_block`` maximises
    on blocks of examples one by one, then averages (m-sharpness). ``average_l2`` is the mean over Gaussian
    z of standard deviation ρ in every coordinate, ``average_linf`` over z uniform in the box. In
    ``…_logit_normalised`` the logits of each example are first centred and scaled to norm 1, so that the
    size of the outputs plays no part. A parameter that is 0 stays where it is; biases take part.

    Args:
        rho: Radius ρ for each of ``norm``; it stands in ``x``.
        norm: ``l2``, ``linf``, or both.
        block: Examples per block; null leaves the blocks out.
        steps: Auto-PGD steps per start.
        starts: Random starts.
        draws: Losses for each average.

    Cost: Per norm, with and without logit normalisation: starts·steps G for the whole set and as many for
    the blocks together, and draws F.

    Error: The worst cases are lower bounds. Their ``stderr`` is the standard deviation over starts,
    ``…_spread`` the range; a range above 5 % of the rise is ``not_converged``. The averages have their
    ``stderr`` over draws, which is too small when few draws carry them.

    Invariance: Rescaling of ReLU neurons and layers, and the scale of weights before batch norm, leave it
    alone; the logit-normalised forms also the scale of the logits. Permutation changes the draws only.

    Trust: In modern settings it does not predict generalisation (its source). A parameter that is 0 by
    chance is frozen here.

    Source: Andriushchenko et al. 2023 (2302.07011); Kwon et al. 2021 (2102.11600) for the units |θᵢ|.

    Example: ``AdaptiveSharpness(rho=0.05, norm="l2", block=None)``
    """

    rho: Sequence[float] | float = (0.05, 0.001)
    norm: Sequence[str] | str = ("l2", "linf")
    block: int | None = 128
    steps: int = 20
    starts: int = 5
    draws: int = 100

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        blocks = partition(data.train, self.block, rng.child("partition"))
        for suffix, per_example in (("", solution.loss), ("_logit_normalised", normalised(solution.loss))):
            if suffix and data.num_classes == 2:
                yield from self.absent(suffix)
                continue
            whole, *parts = (
                Risk(solution, part, data, per_example=per_example) for part in (data.train, *blocks)
            )
            yield from self.search(
                whole, parts, [len(part) for part in blocks], solution.theta_P, rng, suffix
            )

    def search(
        self,
        loss: Loss,
        parts: Sequence[Loss],
        sizes: Sequence[int],
        theta_P: Tensor,
        rng: Stream,
        suffix: str,
    ) -> Iterator[Row]:
        """The measure for any loss and its blocks, so that a test can put a quadratic there."""
        for rho, norm in self.radii():
            scale_P = rho * theta_P.abs()
            stream = rng.child(norm, repr(rho))
            gains = self.gains([loss], theta_P, scale_P, norm, stream)
            yield from worst(f"worst_{norm}", suffix, gains, [1], rho)
            if parts:
                gains = self.gains(parts, theta_P, scale_P, norm, stream.child("blocks"))
                yield from worst(f"worst_{norm}_per_block", suffix, gains, sizes, rho)
            mean = expected_rise(loss, theta_P, scale_P, stream.child("average"), self.draws, LAWS[norm])
            yield Row(f"average_{norm}{suffix}", *mean, split="train", x=rho)

    def radii(self) -> list[tuple[float, str]]:
        """Each radius with its norm."""
        return list(zip(np.atleast_1d(self.rho).tolist(), np.atleast_1d(self.norm).tolist(), strict=True))

    def gains(
        self, losses: Sequence[Loss], theta_P: Tensor, scale_P: Tensor, norm: str, rng: Stream
    ) -> np.ndarray:
        """Largest rise of each loss from each start, (B, S)."""
        ball = BALLS[norm]
        found = (
            box_maximum(loss, theta_P, scale_P, rng.child(b), self.steps, self.starts, ball).losses
            - loss(theta_P)
            for b, loss in enumerate(losses)
        )
        return np.stack(list(found))

    def absent(self, suffix: str) -> Iterator[Row]:
        """The rows of a normalisation that leaves nothing of the logits but their order."""
        kinds = [kind for kind in KINDS if self.block or "per_block" not in kind]
        for rho, norm in self.radii():
            for kind in kinds:
                yield not_applicable(f"{kind.format(norm)}{suffix}", TWO_LOGITS, split="train", x=rho)


def partition(split: Split, size: int | None, rng: Stream) -> list[Split]:
    """The examples in random blocks of this size, the last one smaller; none without a size."""
    if size is None:
        return []
    order = rng.permutation(len(split))
    parts = (order[first : first + size] for first in range(0, len(order), size))
    return [Split(split.x[part], split.y[part], split.index[part]) for part in parts]


def worst(
    quantity: str, suffix: str, gains_BS: np.ndarray, sizes: Sequence[int], rho: float
) -> Iterator[Row]:
    """The largest rise of each block, averaged over the examples, and by how much the starts differ."""
    weights = np.array(sizes) / sum(sizes)
    with np.errstate(invalid="ignore"):  # infinite losses; their rows say so
        rise = float(weights @ gains_BS.max(1).clip(min=0))
        spread = float(weights @ np.ptp(gains_BS, axis=1))
        sd = float(weights @ gains_BS.std(axis=1, ddof=1)) if gains_BS.shape[1] > 1 else float("nan")
    flag: dict[str, Any] = {}
    if spread > SPREAD * rise:
        flag = {"status": "not_converged", "reason": f"the starts differ by {spread:.3g} nats"}
    yield Row(f"{quantity}{suffix}", rise, sd, split="train", x=rho, **flag)
    yield Row(f"{quantity}_spread{suffix}", spread, split="train", x=rho)
