"""The gradient at the solution: its norm, its spread over examples, and the Fisher–Rao norm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.derivative import NoDerivative, forward_mode
from gensweep.geometry.noise import mean_and_stderr
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable


@dataclass(frozen=True)
class Gradient:
    """``gradient_norm`` ‖∇L‖ at θ*, ``gradient_variance`` over examples, and the Fisher–Rao norm.

    ``gradient_variance`` is the trace of the covariance of the gradients gᵢ of single examples, the mean
    of ‖gᵢ − ∇L‖². ``fisher_rao`` is √E⟨θ, gᵢ⟩² with the labels of the training set, as in the definition;
    ``fisher_rao_model`` takes the mean over labels drawn from the network's own probabilities, in closed
    form, and so does not go to 0 merely because the labels are fitted. All trainable parameters take part.

    Args:
        examples: Training examples, drawn without replacement, whose own gradients give the variance;
            null takes all. The other three use every example.

    Cost: 1 G, one gradient for each of ``examples`` alone, and one forward-mode pass (about 3 F).

    Error: ``gradient_norm`` is exact for the training set. ``stderr`` of the others is their sampling
    error over the examples. That of ``gradient_variance`` and ``fisher_rao`` is too small where a few
    examples, the wrong ones, carry them.

    Invariance: ``fisher_rao`` and ``fisher_rao_model`` stay under every rescaling of layers or neurons
    that leaves the function alone, and under the scale of a weight before batch norm with its statistics.
    ``gradient_norm`` and ``gradient_variance`` do not.

    Trust: Batch norm is in eval mode, so its statistics do not follow θ. ``fisher_rao`` is nearly 0
    where all examples are fitted: it tracks the training loss. Not across losses of different size.

    Source: Liang et al. 2019 (1711.01530), definition 2 and theorem 3.1; Jiang et al. 2020 (1912.02178)
    for the variance at the end of training.

    Example: ``Gradient(examples=500)``
    """

    examples: int | None = 2000

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        risk, theta_P = Risk(solution, data.train, data), solution.theta_P
        _, mean_P = risk.grad(theta_P)
        yield Row("gradient_norm", mean_P.double().norm().item(), split="train")
        which = rng.child("examples").permutation(len(risk))[: self.examples]
        distances = [(g - mean_P).double().square().sum().item() for g in risk.example_grads(theta_P, which)]
        yield Row("gradient_variance", *mean_and_stderr(np.array(distances)), split="train")
        try:
            yield from fisher_rao(risk, theta_P)
        except NoDerivative as obstacle:
            for quantity in ("fisher_rao", "fisher_rao_model"):
                yield not_applicable(quantity, str(obstacle), split="train")


def fisher_rao(risk: Risk, theta_P: Tensor) -> Iterator[Row]:
    """Both Fisher–Rao norms, from the derivative of the outputs along θ."""
    logits_NC, slopes_NC = (t.double() for t in risk.logits_along(theta_P, theta_P))
    rises_N = forward_mode(lambda f: risk.per_example(f, risk.y), logits_NC, slopes_NC)[1]
    yield root_mean("fisher_rao", rises_N.square())
    p_NC = torch.softmax(logits_NC, 1)
    centred_NC = slopes_NC - (p_NC * slopes_NC).sum(1, keepdim=True)
    yield root_mean("fisher_rao_model", (p_NC * centred_NC.square()).sum(1))


def root_mean(quantity: str, squares_N: Tensor) -> Row:
    """The root of a mean, with its error by the delta method."""
    mean, stderr = mean_and_stderr(squares_N.cpu().numpy())
    value = math.sqrt(mean)
    return Row(quantity, value, stderr / (2 * value) if value else stderr, split="train")
