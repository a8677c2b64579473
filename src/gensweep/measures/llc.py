"""The local learning coefficient: how many directions, in effect, the loss pins down."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.langevin import PILOT, Chain, Posterior, chain, pilot, split_r_hat
from gensweep.geometry.noise import mean_and_stderr
from gensweep.geometry.risk import Loss, Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

LADDER = (1.0, 0.5, 0.25)  # step sizes, in units of the pilot's
R_HAT = 1.1  # above it the chains have not mixed
UNEVEN = 0.05  # by which equipartition may miss 1
APART = 3.0  # standard errors beyond which a difference is one


@dataclass(frozen=True)
class Rung:
    """What the chains of one step size say.

    Args:
        step: The step size.
        value: The coefficient, and ``stderr`` its error over chains.
        r_hat: Split R̂ of the losses.
        share: Equipartition, and ``share_stderr`` its error over chains.
        acceptance: Mean acceptance.
    """

    step: float
    value: float
    stderr: float
    r_hat: float
    share: float
    share_stderr: float
    acceptance: float

    @property
    def doubt(self) -> str:
        """Why it has not converged, or nothing."""
        if self.value < -APART * self.stderr:
            return "the chains go below the loss at θ*, which is no minimum"
        if not self.r_hat <= R_HAT:
            return f"the chains have not mixed: R̂ is {self.r_hat:.3g}"
        if not abs(self.share - 1) <= UNEVEN + APART * self.share_stderr:
            return f"the chains have not reached all directions: equipartition is {self.share:.3g}, not 1"
        return ""


@dataclass(frozen=True)
class LLC:
    """``llc`` = nβ(E[L] − L(θ*)), the mean over exp(−nβ·L(θ) − γ/2·‖θ−θ*‖²), with nβ = N/ln N.

    L is the training loss over all N examples. Three step sizes, each half of the one before, have a row
    each with the step in ``x`` and its rank in ``index``. At ``index`` −1 stands the value at step zero.
    Every step samples the same density, since moves are accepted or rejected, so the mean of the three is
    the extrapolation, and that they agree is the check. Beside each step stand its ``acceptance``, the
    ``r_hat`` of its losses, and ``equipartition``, the mean of ⟨θ−θ*, ∇U⟩/P over its chains, U the
    negative log density: 1 for every density, less while directions wait to be explored.

    Args:
        gamma: γ, 1/weight²: a direction in which the loss is flat is explored to 1/√γ.
        chains: Chains per step size, 4 or more, all from the end of one pilot chain.
        draws: Moves per chain; the first half is dropped.

    Cost: 3·chains·draws G, and 201 of the pilot, which finds the largest step; ``evaluations`` counts them.

    Error: ``stderr`` is that over chains. Where the largest and the smallest step are three standard errors
    apart it is at least half the range of the steps, and the row is ``not_converged``; so it is where
    ``r_hat`` exceeds 1.1, where ``equipartition`` misses 1 by 0.05 and three standard errors, or where the
    chains go below the loss at θ*, which then is no minimum.

    Invariance: Permutation of hidden units changes the draws only. Rescalings of layers or neurons change
    it through γ; where the loss pins down every direction to far less than 1/√γ, it is P/2 however they
    are scaled.

    Trust: Only with the same γ and N. Chains start together, so ``r_hat`` cannot see what none of them has
    reached; ``equipartition`` can. At γ where most directions are flat it is far below P/2, and follows γ.

    Source: Lau et al. 2023 (2308.12108), the estimator λ̂(w*); SGLD there, Metropolis-adjusted here.

    Example: ``LLC(gamma=1000.0, draws=200)``
    """

    gamma: float = 100.0
    chains: int = 4
    draws: int = 1000

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        yield from self.sample(Risk(solution, data.train, data), solution.theta_P, len(data.train), rng)

    def sample(self, loss: Loss, theta_P: Tensor, examples: int, rng: Stream) -> Iterator[Row]:
        """The measure for any loss, so that a test can put a bowl where the network goes."""
        base = loss(theta_P)
        if examples < 2 or not math.isfinite(base):
            yield absent(examples, base)
            return
        posterior = Posterior(loss, theta_P, examples / math.log(examples), self.gamma)
        start, step = pilot(posterior, rng.child("pilot"))
        rungs = []
        for k, share in enumerate(LADDER):
            streams = [rng.child("step", k, "chain", c) for c in range(self.chains)]
            runs = [chain(posterior, start, share * step, self.draws, stream) for stream in streams]
            rungs.append(summary(runs, share * step, posterior.heat, base))
        for k, rung in enumerate(rungs):
            yield from rung_rows(k, rung)
        yield pooled(rungs)
        yield Row("evaluations", 1 + PILOT + len(LADDER) * self.chains * self.draws, split="train")


def summary(runs: list[Chain], step: float, heat: float, base: float) -> Rung:
    """The coefficient of one step size, and what speaks for it."""
    losses_CT = np.stack([run.losses for run in runs])
    value, stderr = mean_and_stderr(heat * (losses_CT.mean(1) - base))
    share, share_stderr = mean_and_stderr(np.array([run.shares.mean() for run in runs]))
    acceptance = float(np.mean([run.acceptance for run in runs]))
    return Rung(step, value, stderr, split_r_hat(losses_CT), share, share_stderr, acceptance)


def rung_rows(k: int, rung: Rung) -> Iterator[Row]:
    """The rows of one step size."""
    place: dict[str, Any] = {"split": "train", "index": k, "x": rung.step}
    yield Row("llc", rung.value, rung.stderr, **place, **flag(rung.doubt))
    yield Row("acceptance", rung.acceptance, **place)
    stuck: dict[str, Any] = {"status": "nonfinite", "reason": "too few draws, or chains that never moved"}
    stuck = {} if math.isfinite(rung.r_hat) else stuck
    yield Row("r_hat", rung.r_hat, **place, **stuck)
    yield Row("equipartition", rung.share, rung.share_stderr, **place)


def pooled(rungs: list[Rung]) -> Row:
    """The coefficient at step zero, and whether the steps agree."""
    values = [rung.value for rung in rungs]
    stderr = math.sqrt(sum(rung.stderr**2 for rung in rungs)) / len(rungs)
    doubt = next((rung.doubt for rung in rungs if rung.doubt), "")
    apart = abs(values[0] - values[-1])
    if apart > APART * math.hypot(rungs[0].stderr, rungs[-1].stderr):
        stderr = max(stderr, float(np.ptp(values)) / 2)
        doubt = doubt or f"the largest and the smallest step differ by {apart:.3g}"
    return Row("llc", float(np.mean(values)), stderr, split="train", **flag(doubt))


def flag(doubt: str) -> dict[str, Any]:
    """The status that a doubt makes."""
    return {"status": "not_converged", "reason": doubt} if doubt else {}


def absent(examples: int, base: float) -> Row:
    """The row of a coefficient that there is none of."""
    if examples < 2:
        return not_applicable("llc", "nβ = N/ln N needs two examples", split="train")
    return Row("llc", base, math.nan, "train", status="nonfinite", reason="the loss at θ* is not finite")
