"""How much of a Gaussian around a minimum lies below a cutoff."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtrit
from torch import Tensor

from gensweep.blocks import remembered
from gensweep.geometry.risk import Loss
from gensweep.geometry.volume import LN10
from gensweep.rng import Stream

DRAWS, HITS = 1000, 10  # plain draws, and how many of them must hit for plain counting to do
SHARE = 0.25  # of the particles goes on to the next level
ACCEPTED = 0.3  # of the moves: the share that the stride aims at
ONE_SIGMA = 0.8413447460685429  # chance that a normal number is below +1
LEVELS = 40  # down to about 10⁻²⁵

Rise = Callable[[Tensor], np.ndarray]  # z_NP -> loss above the centre's, (N,); never NaN


@dataclass(frozen=True)
class Mass:
    """The Gaussian probability of one sublevel set.

    Args:
        log10: Its decimal logarithm.
        stderr: Standard error of that, in orders of magnitude.
        doubt: Why it is not to be trusted; empty if it is.
    """

    log10: float
    stderr: float
    doubt: str = ""


@dataclass(frozen=True)
class Splitting:
    """Settings of the subset simulation.

    Args:
        particles: Particles N per replicate; N/4 survive each level.
        moves: Moves of each particle per level, in a first set of replicates; twice as many in a second.
        replicates: Replicates R per set.
    """

    particles: int
    moves: int
    replicates: int


class LossRise:
    """How far the loss at θ + s∘z lies above the loss at θ, for many z at a time.

    Args:
        loss: Any loss.
        theta_P: θ.
        step_P: s, one for each parameter.
        base: The loss at θ, nats.
    """

    def __init__(self, loss: Loss, theta_P: Tensor, step_P: Tensor, base: float) -> None:
        self.loss, self.theta_P, self.step_P, self.base = loss, theta_P, step_P, base
        self.evaluations = 0

    def __call__(self, z_NP: Tensor) -> np.ndarray:
        """The rises in nats, (N,); what is not a number counts as infinite."""
        self.evaluations += len(z_NP)
        return np.nan_to_num(np.array(remembered(self._losses, z_NP)) - self.base, nan=np.inf)

    def _losses(self, z_NP: Tensor) -> list[float]:
        return self.loss.many(self.theta_P + self.step_P * z_P for z_P in z_NP).tolist()


def gaussian_masses(
    rise: Rise, like_P: Tensor, walls_C: np.ndarray, rng: Stream, settings: Splitting
) -> list[Mass]:
    """Pr[rise(z) ≤ wall] for z ~ N(0, I) and each wall, down to 10⁻²⁵, by forward passes alone.

    Walls that 1000 plain draws hit ten times are counted; the others come from subset simulation, where
    one descent passes all walls on its way to the lowest.

    Args:
        rise: The loss above the centre's at N places.
        like_P: A vector of the length, type and device of z.
        walls_C: Heights, nats, ascending, above 0.
        rng: Each replicate has a stream of its own.
        settings: How much to spend.

    Error: The probability is unbiased; ``stderr`` comes from the spread of the logarithms within both sets
    of replicates, widened for being known from so few: ±1 covers as often as of a normal error. Too few
    moves make most replicates too small, so sets that differ by more than 2 standard deviations are in
    ``doubt``, as are walls that were not reached: upper bounds.

    Source: Au & Beck 2001 (subset simulation); Bréhier et al. 2016 (1505.02674) for the lack of bias.
    """
    draws = [
        rise(_normals(rng.child("draw", b), settings.particles, like_P)) for b in range(_blocks(settings))
    ]
    hits_C = (np.concatenate(draws)[:, None] <= walls_C).sum(0)
    counted = [_counted(int(hits), len(draws) * settings.particles) for hits in hits_C]
    deep = hits_C < HITS
    if not deep.any():
        return counted
    descents_2R2C = np.array(
        [
            [
                _descend(rise, like_P, walls_C, rng.child(name, r), settings.particles, moves)
                for r in range(settings.replicates)
            ]
            for name, moves in (("once", settings.moves), ("twice", 2 * settings.moves))
        ]
    )
    return [
        _split(*descents_2R2C[..., c].transpose(2, 0, 1)) if deep[c] else counted[c]
        for c in range(len(walls_C))
    ]


def _blocks(settings: Splitting) -> int:
    return math.ceil(DRAWS / settings.particles)


def _normals(rng: Stream, count: int, like_P: Tensor) -> Tensor:
    return torch.from_numpy(rng.normal(count * len(like_P)).reshape(count, -1)).to(like_P)


def _counted(hits: int, draws: int) -> Mass:
    share = (hits + 0.5) / (draws + 1)  # of the stderr alone, which is then never 0
    value = math.log10(hits / draws) if hits else -math.inf
    return Mass(value, math.sqrt((1 - share) / (share * draws)) / LN10)


def _split(logs_2R: np.ndarray, reached_2R: np.ndarray) -> Mass:
    """The mean over the second set, and whether the first one agrees."""
    once_R, twice_R = logs_2R / LN10
    peak = twice_R.max()
    value = peak + math.log10(np.mean(10 ** (twice_R - peak)))
    sd = math.hypot(_sd(once_R), _sd(twice_R)) / math.sqrt(2)
    shift = twice_R.mean() - once_R.mean()
    doubt = ""
    if not reached_2R.all():
        doubt = "the particles stopped above the cutoff: an upper bound"
    elif not abs(shift) <= 2 * sd:
        doubt = (
            f"twice the moves changed it by {shift:.2g} orders, more than 2 standard deviations of {sd:.2g}"
        )
    widened = stdtrit(2 * len(twice_R) - 2, ONE_SIGMA)  # Student's, with as many degrees of freedom
    return Mass(value, float(widened * sd / math.sqrt(len(twice_R))), doubt)


def _sd(logs_R: np.ndarray) -> float:
    return float(logs_R.std(ddof=1)) if len(logs_R) > 1 else math.nan


def _descend(
    rise: Rise, like_P: Tensor, walls_C: np.ndarray, rng: Stream, particles: int, moves: int
) -> np.ndarray:
    """Where a wall was reached, ln of the mass below it, else an upper bound; and where; (2, C)."""
    z_NP = _normals(rng.child("start"), particles, like_P)
    rise_N = rise(z_NP)
    log_mass, stride = 0.0, 1.0
    found_C = np.full(len(walls_C), np.nan)
    for depth in range(LEVELS):
        # The lowest of those left behind: survivors lie strictly below it, so that their share is unbiased.
        level = np.sort(rise_N)[round(SHARE * particles)]
        for c in np.flatnonzero(np.isnan(found_C) & (walls_C >= level)):
            found_C[c] = log_mass + math.log((rise_N <= walls_C[c]).mean())
        alive = np.flatnonzero(rise_N < level)
        if not np.isnan(found_C).any() or not len(alive):
            break
        log_mass += math.log(len(alive) / particles)
        here = rng.child("level", depth)
        parents = np.resize(alive[here.permutation(len(alive))], particles)
        z_NP, rise_N, stride = _walk(rise, z_NP[parents], rise_N[parents], level, stride, here, moves)
    return np.stack([np.nan_to_num(found_C, nan=log_mass), ~np.isnan(found_C)])


def _walk(
    rise: Rise, z_NP: Tensor, rise_N: np.ndarray, level: float, stride: float, rng: Stream, moves: int
) -> tuple[Tensor, np.ndarray, float]:
    """Moves that keep the Gaussian as it is and stay below the level; the stride follows the acceptance."""
    for m in range(moves):
        fresh_NP = _normals(rng.child("move", m), len(z_NP), z_NP[0])
        proposed_NP = math.sqrt(1 - stride**2) * z_NP + stride * fresh_NP
        proposed_N = rise(proposed_NP)
        below_N = proposed_N < level
        z_NP = torch.where(torch.from_numpy(below_N).to(z_NP.device)[:, None], proposed_NP, z_NP)
        rise_N = np.where(below_N, proposed_N, rise_N)
        stride = min(1.0, stride * math.exp(below_N.mean() - ACCEPTED))
    return z_NP, rise_N, stride
