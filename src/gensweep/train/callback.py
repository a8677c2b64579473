"""What happens around training: progress while it runs, measures when it has ended."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import lightning
from lightning import Callback
from torch import Tensor

from gensweep.geometry.solution import Layout, Solution
from gensweep.train.task import Task


class MeasureAtEnd(Callback):
    """Hands the solution over once training has ended; what is done with it is not Lightning's business.

    Args:
        init_P: Parameters before the first update.
        measure: Takes the solution and the number of epochs and updates that led to it.
    """

    def __init__(self, init_P: Tensor, measure: Callable[[Solution, dict[str, Any]], None]) -> None:
        self.init_P, self.measure = init_P, measure

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Measure."""
        assert isinstance(pl_module, Task)
        model = pl_module.model.eval()
        layout = Layout.of(model)
        theta_P = layout.pack(dict(model.named_parameters()))
        solution = Solution(model, theta_P, self.init_P.to(theta_P), pl_module.protocol.target_loss)
        self.measure(solution, {"epochs": trainer.current_epoch, "updates": trainer.global_step})


class Progress(Callback):
    """Says where training stands, at most once a second.

    Args:
        say: Takes one line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.said = say, 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """One line with the epochs done and the clean loss after them."""
        assert isinstance(pl_module, Task)
        if time.monotonic() - self.said >= 1 and trainer.current_epoch > 0:
            self.said = time.monotonic()
            checked = math.isfinite(pl_module.clean_loss)  # it is not before the first check
            loss = f", clean loss {pl_module.clean_loss:.4g}" if checked else ""
            self.say(f"epoch {trainer.current_epoch}/{trainer.max_epochs}{loss}")
