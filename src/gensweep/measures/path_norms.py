"""Path norms: what all paths through a network weigh together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import fx

from gensweep.data.base import Data
from gensweep.geometry.fold import Untraceable, folded, network_at
from gensweep.geometry.paths import Unsupported, log_path_sum
from gensweep.geometry.solution import Solution
from gensweep.measures.margin import logarithm, over_margin_squared, training_margin
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

# Quantity -> p of |w|ᵖ, and the power that the sum over the paths is raised to.
FORMS = {"log10_l1_path": (1, 2), "log10_l2_path": (2, 1)}


@dataclass(frozen=True)
class PathNorms:
    """``log10_l1_path`` = log10 (Σ_paths ∏|W|)²/γ² and ``log10_l2_path`` = log10 (Σ_paths ∏W²)/γ².

    ``_raw`` is the same without γ, the 5th percentile of the training margins. A path runs from one
    entry of the input to one output. Batch norm is folded first; one that cannot be folded is a
    diagonal layer. Unlike products of norms they are the same however a ReLU neuron is rescaled.

    Args:
        pooling: ``sum`` counts every path through a max-pool's window, ``max`` only the largest.
        biases: Whether biases and the shifts of batch norm start paths too; the paper's formula has none.

    Cost: 1 F for γ, and two passes of a single input in float64.

    Error: Exact; over γ² they carry the sampling error of γ. What is not a network of convolutions,
    linear layers, batch norm, ReLU, pools, sums and concatenations has rows that name the obstacle.

    Invariance: Rescaling of ReLU neurons and layers, scale of weights before batch norm, and permutation
    of hidden units leave every number alone.

    Trust: Not with attention, tanh or GELU, where paths have no such product; the row says so. The number
    of paths grows with depth, width and image size: compare within one architecture.

    Source: Neyshabur et al. 2017 (1706.08947), §2, without the factors per layer, as in their figures.

    Example: ``PathNorms(pooling="max")``
    """

    pooling: str = "sum"
    biases: bool = False

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        try:
            found = self.logs(solution, data)
        except Untraceable as obstacle:
            yield from without(str(obstacle))
        except Unsupported as obstacle:
            yield from without(f"paths are not defined through {obstacle}")
        else:
            gamma, error = training_margin(solution, data, rng)
            for quantity, log10 in found.items():
                yield logarithm(f"{quantity}_raw", log10)
                yield over_margin_squared(quantity, log10, gamma, error)

    def logs(self, solution: Solution, data: Data) -> dict[str, float]:
        """The path norms without γ, log10."""
        network = folded(network_at(solution))
        return {
            quantity: outer * self.log10(network, data.input_shape, power)
            for quantity, (power, outer) in FORMS.items()
        }

    def log10(self, network: fx.GraphModule, input_shape: Sequence[int], power: int) -> float:
        """The sum over all paths, log10."""
        return log_path_sum(network, input_shape, power, self.pooling, self.biases) / math.log(10)


def without(reason: str) -> Iterator[Row]:
    """The rows of a network that has no path norm."""
    for quantity in FORMS:
        yield not_applicable(f"{quantity}_raw", reason)
        yield not_applicable(quantity, reason, split="train")
