"""Settings that the size of the data set decides: a share of the examples, the epochs that there will be."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from gensweep.errors import InputError
from gensweep.train.budget import limits


def sized(config: dict[str, Any], examples: int) -> dict[str, Any]:
    """The config with its batch size as a number, so that 10% of 500 examples and 50 name one run.

    Args:
        config: Checked.
        examples: Clean ones, train and confusion set together.

    Raises:
        InputError: Weights are to be kept after an epoch that there will not be.
    """
    batch_size = config["batch_size"]
    if isinstance(batch_size, str):
        config = {**config, "batch_size": of(batch_size, examples)}
    keep = config["budget"]["keep"]
    budget, reference = config["budget"], config["schedule"]["reference_batch"]
    epochs = limits(budget, examples, config["batch_size"], reference)["max_epochs"]
    last = keep[-1] if isinstance(keep, list) else keep
    if last is not None and last > epochs:
        raise InputError(
            f"budget.keep={keep} asks for weights after epoch {last}, but training ends after {epochs} "
            "epochs at the latest; keep earlier ones or raise budget.max_epochs"
        )
    return config


def of(share: str, examples: int) -> int:
    """A share of the examples as a whole number, rounded down, 1 at least.

    >>> of("10%", 500), of("12.5%", 60), of("1%", 60)
    (50, 7, 1)
    """
    return max(1, int(Fraction(share.removesuffix("%")) * examples / 100))
