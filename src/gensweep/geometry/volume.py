"""From radii to the volume of the region around a minimum, in logarithms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, logsumexp

from gensweep.rng import Stream

LN10 = float(np.log(10.0))
RESAMPLES = 200


def log10_mean_power(log_radius_K: np.ndarray, n: int) -> float:
    """log10 E[rⁿ] over K rays: the star-domain volume without the ball's constant.

    Error: From the finite number of rays; see `bootstrap_stderr` and `effective_sample_size`. In high
    dimension the few widest rays carry the mean and the estimate is too small.

    Source: Huang et al. 2019 (1906.03291).

    >>> round(log10_mean_power(np.log([0.5, 0.5]), 10), 6)
    -3.0103
    """
    return float(logsumexp(n * log_radius_K) - np.log(len(log_radius_K))) / LN10


def effective_sample_size(log_radius_K: np.ndarray, n: int) -> float:
    """1/Σw² with w ∝ rⁿ, between 1 and K: how many rays carry the volume."""
    log_w = n * log_radius_K - logsumexp(n * log_radius_K)
    return float(np.exp(-logsumexp(2 * log_w)))


def bootstrap_stderr(log_radius_K: np.ndarray, n: int, rng: Stream) -> float:
    """Standard error of `log10_mean_power` by resampling the rays, in orders of magnitude."""
    k = len(log_radius_K)
    drawn = log_radius_K[rng.integers(k, RESAMPLES * k).reshape(RESAMPLES, k)]
    return float(np.std((logsumexp(n * drawn, axis=1) - np.log(k)) / LN10, ddof=1))


def log10_ball(n: int) -> float:
    """log10 of the volume of the unit ball in n dimensions.

    >>> round(10 ** log10_ball(2), 6), round(10 ** log10_ball(3), 6)
    (3.141593, 4.18879)
    """
    return float(n / 2 * np.log(np.pi) - gammaln(n / 2 + 1)) / LN10


@dataclass(frozen=True)
class StarVolume:
    """What K radii say about a volume, in orders of magnitude.

    Args:
        log10: log10 E[rⁿ].
        sampling: Its bootstrap standard error over rays.
        slack: By how much it is too small if every crossing lies at the outer end of its bracket.
        jensen: n·E[log10 r].
        jensen_sampling: Its standard error over rays, NaN for a single one.
        jensen_slack: As ``slack``.
        ess: How many rays carry ``log10``.
    """

    log10: float
    sampling: float
    slack: float
    jensen: float
    jensen_sampling: float
    jensen_slack: float
    ess: float

    @property
    def stderr(self) -> float:
        """Of ``log10``: rays and brackets together."""
        return math.hypot(self.sampling, self.slack / 2)

    @property
    def jensen_stderr(self) -> float:
        """Of ``jensen``: rays and brackets together."""
        return math.hypot(self.jensen_sampling, self.jensen_slack / 2)


def star_volume(log_radius_K: np.ndarray, log_outer_K: np.ndarray, n: int, rng: Stream) -> StarVolume:
    """The volume in n dimensions from where rays certainly are inside, and where they may still be.

    Args:
        log_radius_K: ln of the radii.
        log_outer_K: ln of the outer ends of their brackets.
        n: Number of dimensions.
        rng: For the bootstrap.
    """
    log10 = log10_mean_power(log_radius_K, n)
    k = len(log_radius_K)
    return StarVolume(
        log10=log10,
        sampling=bootstrap_stderr(log_radius_K, n, rng),
        slack=log10_mean_power(log_outer_K, n) - log10,
        jensen=float(n * log_radius_K.mean() / LN10),
        jensen_sampling=n / LN10 * float(log_radius_K.std(ddof=1)) / math.sqrt(k) if k > 1 else math.nan,
        jensen_slack=float(n * (log_outer_K - log_radius_K).mean() / LN10),
        ess=effective_sample_size(log_radius_K, n),
    )
