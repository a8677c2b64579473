"""How much noise, and how large a box, in proportion to the weights, the training accuracy bears."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.certify import Interval
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.geometry.tolerance import ACCURACY_DROP, Accuracies, Ascents, middle, tolerated_noise
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

CONSTANT = 10.0  # in the published bounds
NOISE = ("magnitude_sigma", "magnitude_sigma_low", "magnitude_sigma_high", "inverse_sigma_squared")
BOX = ("magnitude_alpha", "magnitude_alpha_low", "magnitude_alpha_high", "inverse_alpha_squared")
BOUNDS = ("pac_bayes_init", "pac_bayes_orig")


@dataclass(frozen=True)
class MagnitudeSharpness:
    """Magnitude-aware sharpness: the largest σ' and α' that cost at most a tenth of the training set.

    ``magnitude_sigma`` is the largest σ' such that Gaussian noise of standard deviation √(σ'²θᵢ² + ε²) on
    every trainable parameter lowers the training accuracy by at most 0.1 on average, the middle of the
    certified interval from ``magnitude_sigma_low`` to ``magnitude_sigma_high``. ``magnitude_alpha`` is the
    smallest α' for which an ascent of the loss found a |νᵢ| ≤ α'|θᵢ| + ε that lowers it by more, the upper
    end of its interval. ``inverse_sigma_squared`` and ``inverse_alpha_squared`` are 1/σ'² and 1/α'².

    ``pac_bayes_init`` = ¼ Σ ln[(ε² + (σ'²+1)‖θ−θ₀‖²/ω) / (ε² + σ'²(θᵢ−θ₀ᵢ)²)] + ln(N/σ') + 10 over the ω
    parameters, with N training examples; ``pac_bayes_orig`` has ‖θ‖² in place of ‖θ−θ₀‖².

    Args:
        floor: ε ≥ 0, in weights, 0.001 in the paper: noise that a weight of 0 gets.
        steps: Auto-PGD steps per start.
        starts: Random starts per box.

    Cost: 64 to 256 F per σ', which ``evaluations`` counts; starts·(steps+1) G and F per α', which
    ``evaluations_worst`` counts; about eight of each.

    Error: ``stderr`` of σ' and α' is half the interval; of what is made from them, half its range over
    the interval. σ' that noise kept open is ``not_converged``; it is ``censored`` where the accuracy never
    drops that far, or does at every scale. α' is never ``ok``: an upper bound, ``censored``, since a better
    ascent may find a worse point in a smaller box; ``not_converged`` where not every start crosses there.

    Invariance: With ε = 0, rescaling of layers or neurons leaves σ', α' and the searches alone, and the
    ℓ2 distances change. With ε > 0 it does not: a layer made small drowns in ε.

    Trust: The published bounds measure σ' with noise in proportion to |θ| but sum over |θ−θ₀|, so they
    bound nothing; compare their order only. The ascents climb the cross-entropy, not the errors: for lines
    in the plane, where the truth is known, α' came out up to 3.2 times too large.

    Source: Jiang et al. 2020 (1912.02178), appendix C; the standard deviation is √(σ'²θ² + ε²) itself.
    The published code passes its square. Its weights are folded ones without biases; here all take part.

    Example: ``MagnitudeSharpness(floor=0.0, starts=1)``
    """

    floor: float = 0.001
    steps: int = 20
    starts: int = 3

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk = Risk(solution, data.train, data)
        base = risk.loss_and_accuracy(solution.theta_P)[1]
        if base <= ACCURACY_DROP:
            reason = f"the accuracy, {base:.3g}, cannot drop by {ACCURACY_DROP}"
            for name in (*NOISE, *BOX, *BOUNDS):
                yield not_applicable(name, reason, split="train")
            return
        noise = self.noise(risk.accuracies, solution.theta_P, rng.child("sigma"))
        yield from interval_rows(NOISE, noise, *middle(noise, "σ'"))
        yield Row("evaluations", noise.evaluations, split="train")
        yield from self.bounds(solution, noise, len(risk))
        yield from self.box(risk, solution.theta_P, rng.child("alpha"))

    def noise(self, accuracies: Accuracies, theta_P: Tensor, rng: Stream) -> Interval:
        """The interval of σ', for any accuracy."""

        def spread(sigma: float) -> Tensor:
            return (sigma**2 * theta_P.square() + self.floor**2).sqrt()

        return tolerated_noise(accuracies, theta_P, spread, rng)

    def box(self, risk: Risk, theta_P: Tensor, rng: Stream) -> Iterator[Row]:
        """The rows of α'."""

        def half_width(alpha: float) -> Tensor:
            return alpha * theta_P.abs() + self.floor

        ascents = Ascents(risk, theta_P, half_width, rng, self.steps, self.starts)
        found = ascents.crossing()
        value, stderr, flag = middle(found, "α'")
        if not flag:
            crossed = int((ascents.drops(found.high) > ACCURACY_DROP).sum())
            reason = f"an upper bound: {crossed} of {self.starts} starts cross at the upper end"
            flag = {"status": "censored" if crossed == self.starts else "not_converged", "reason": reason}
            value = found.high
        yield from interval_rows(BOX, found, value, stderr, flag)
        yield Row("evaluations_worst", ascents.evaluations, split="train")

    def bounds(self, solution: Solution, noise: Interval, examples: int) -> Iterator[Row]:
        """Both PAC-Bayes sums, where there are initial weights and both ends of σ'."""
        if solution.init_P is None or noise.low == 0 or math.isinf(noise.high):
            known = solution.init_P is not None
            reason = "σ' is only a bound" if known else "the initial weights θ₀ are not known"
            yield from (not_applicable(name, reason, split="train") for name in BOUNDS)
            return
        sigma, _, flag = middle(noise, "σ'")
        theta_P = solution.theta_P.double()
        distance_P = theta_P - solution.init_P.double()
        for name, reference_P in zip(BOUNDS, (distance_P, theta_P), strict=True):
            value, low, high = (
                pac_bayes(reference_P, distance_P, s, self.floor, examples)
                for s in (sigma, noise.low, noise.high)
            )
            yield Row(name, value, abs(high - low) / 2, split="train", **flag)


def pac_bayes(reference_P: Tensor, distance_P: Tensor, sigma: float, floor: float, examples: int) -> float:
    """The published sum, in nats: half a KL divergence, ln(N/σ') and a constant.

    Args:
        reference_P: θ − θ₀ or θ.
        distance_P: θ − θ₀.
        sigma: σ' > 0.
        floor: ε ≥ 0.
        examples: N.
    """
    prior = floor**2 + (sigma**2 + 1) * reference_P.square().mean()
    posterior_P = floor**2 + sigma**2 * distance_P.square()
    return ((prior / posterior_P).log().sum() / 4).item() + math.log(examples / sigma) + CONSTANT


def interval_rows(
    names: tuple[str, str, str, str], found: Interval, value: float, stderr: float, flag: dict[str, Any]
) -> Iterator[Row]:
    """A tolerated scale, the ends of its interval, and one over its square."""
    yield Row(names[0], value, stderr, split="train", **flag)
    yield Row(names[1], found.low, split="train")
    if math.isfinite(found.high):
        yield Row(names[2], found.high, split="train")
    else:
        yield Row(names[2], math.nan, math.nan, split="train", **flag)
    half_range = (found.low**-2 - found.high**-2) / 2 if found.low and not math.isnan(stderr) else math.nan
    yield Row(names[3], value**-2 if value else math.inf, half_range, split="train", **turned(flag))


def turned(flag: dict[str, Any]) -> dict[str, Any]:
    """What a status says of one over the number: an upper bound is a lower one."""
    if "reason" not in flag:
        return flag
    swap = {"an upper bound": "a lower bound", "a lower bound": "an upper bound"}
    found = next((words for words in swap if words in flag["reason"]), "")
    return {**flag, "reason": flag["reason"].replace(found, swap.get(found, ""))}
