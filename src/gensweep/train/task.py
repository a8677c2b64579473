"""The LightningModule: one network, the poison objective, and what is logged of it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import Any

import lightning
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric

from gensweep.data.base import Data
from gensweep.data.resident import normaliser, resident
from gensweep.geometry.pieces import piece
from gensweep.models.build import drawn, draws
from gensweep.preemption import asked
from gensweep.ranks import current
from gensweep.rng import Stream
from gensweep.train.augment import crop_and_flip
from gensweep.train.batches import Batch, Batches, Bunches, without
from gensweep.train.layout import memory_format
from gensweep.train.objective import objective
from gensweep.train.protocol import Protocol
from gensweep.train.scores import scores
from gensweep.train.whole_batch import average_statistics, whole_batch


class Diverged(Exception):
    """The loss is no longer a finite number."""


class Task(lightning.LightningModule):
    """Trains ``model`` on train and confusion set, against the poison set.

    At each check every split is evaluated apart, in eval mode: ``train_loss``, ``train_accuracy``, and
    the same of ``confusion``, ``poison`` (whose loss is −log(1−p_y)) and ``test``; ``clean_loss``, which the
    target is for, is over train and confusion set together. Several processes share each batch and each
    evaluation, and end with the weights of one, up to rounding.

    Args:
        model: Trained in place.
        data: What it is trained and evaluated on.
        protocol: How.
        rng: Dropout and augmentation draw from its children.
        order: The order of the batches does; the same as ``rng`` unless given.
        sync_batch_norm: Whether batch norm sees the whole batch, or each process's own part of it.

    Raises:
        Diverged: When the objective or the clean loss is not finite; no checkpoint is written after that.
    """

    automatic_optimization = False

    def __init__(
        self,
        model: nn.Module,
        data: Data,
        protocol: Protocol,
        rng: Stream,
        order: Stream | None = None,
        sync_batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.model, self.data, self.protocol, self.rng = model, data, protocol, rng
        self.order = rng if order is None else order
        self.ranks, self.sync_batch_norm = current(), sync_batch_norm
        self.running_objective = MeanMetric()
        self.running_objective.persistent(True)
        self.clean_loss = math.inf
        self.memory_format = memory_format(model)
        self.drops = draws(model)
        self.compiled: Callable[[Tensor], Tensor] | None = None  # no part of the module tree

    def setup(self, stage: str) -> None:
        """Put all examples on the device, once."""
        dtype = next(self.model.parameters()).dtype
        mean, std = normaliser(self.data, self.device, dtype)
        self.black = -mean / std
        self.splits = {
            name: resident(s, self.data, self.device, dtype) for name, s in self.data.splits().items()
        }
        (x, y), (confusion_x, confusion_y) = self.splits["train"], self.splits["confusion"]
        clean = torch.cat([x, confusion_x]), torch.cat([y, confusion_y])
        poison = self.splits["poison"] if self.protocol.poison_factor else without(self.splits["poison"])
        size, step = self.protocol.batch_size, lambda: self.global_step
        self.batches = Batches(clean, poison, size, self.order, step, self.ranks)

    def on_fit_start(self) -> None:
        """Say how many epochs; Lightning's own max_steps makes other updates after a cut than without one."""
        self.trainer.fit_loop.max_epochs = math.ceil(self.updates / len(self.batches))

    def train_dataloader(self) -> Bunches:
        """The batches, as Lightning's loop meets them."""
        return Bunches(self.batches)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """The batches are there already; asking costs as much as a small network's forward pass."""
        return batch

    def configure_optimizers(self) -> Any:
        """The optimiser of the protocol, and what moves its learning rate."""
        optimiser = self.protocol.optimiser(self.model.parameters())
        updates, schedule = self.updates, self.protocol.schedule

        def factor(step: int) -> float:
            return schedule.factor(step / updates, self.protocol.batch_size)

        self.pace = LambdaLR(optimiser, factor)
        return [optimiser], [self.pace]

    @property
    def updates(self) -> int:
        """How many there will be, unless the target is reached before."""
        most = self.protocol.max_epochs * len(self.batches)
        return most if self.protocol.max_steps is None else min(most, self.protocol.max_steps)

    def training_step(self, bunch: Iterator[Batch], batch_idx: int) -> None:
        """An update for each batch, unless asked to end; then a look at what the objective was."""
        first = self.global_step
        # Several processes part between two bunches, together.
        goes_on = takewhile(lambda batch: self.ranks.several or not asked(), bunch)
        losses = [self.update(batch) for batch in islice(goes_on, self.updates - first)]
        if losses:
            self.watch(first, torch.stack(losses))

    def update(self, batch: Batch) -> Tensor:
        """Move the weights once; what the objective was before."""
        optimiser = self.trainer.optimizers[0]
        loss = self.loss(batch)
        optimiser.zero_grad()
        self.differentiate(loss)
        if self.protocol.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.protocol.clip_norm)
        # Lightning's own step around the optimiser's takes 0.1 ms; its count is what it is needed for.
        optimiser.step()
        self.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.increment_completed()
        if self.protocol.schedule.shape != "constant":
            self.pace.step()
        return loss.detach()

    def differentiate(self, loss: Tensor) -> None:
        """Work out the gradient; with several processes Lightning lets them meet in it."""
        if self.trainer.world_size > 1:
            self.manual_backward(loss)
        else:
            loss.backward()

    def loss(self, batch: Batch) -> Tensor:
        """The objective of one clean and one poison batch, seen in one forward pass."""
        x, y = batch.x, batch.y
        if batch.sizes[1]:
            x = torch.cat([x, batch.poison_x])
        if self.protocol.augment:
            rng = self.rng.child("augment", self.global_step)
            x = crop_and_flip(x, self.black, rng, sum(batch.sizes), self.rows(batch))
        outputs = self.outputs(x, batch)
        world = self.ranks.place.world
        sizes = batch.sizes[0] / world, batch.sizes[1] / world
        poison = (outputs[len(y) :], batch.poison_y) if sizes[1] else None
        return objective((outputs[: len(y)], y), poison, self.protocol.poison_factor, sizes)

    def watch(self, first: int, losses: Tensor) -> None:
        """Average the objectives of the updates from ``first`` on, if they are finite numbers."""
        losses = self.ranks.total(losses) / self.ranks.place.world
        wrong = (~torch.isfinite(losses)).nonzero()
        if len(wrong):
            at = int(wrong[0])
            raise Diverged(f"the objective became {losses[at].item()} at update {first + at}")
        self.running_objective.update(losses)

    def outputs(self, x: Tensor, batch: Batch) -> Tensor:
        """What the network says; with dropout, what it says under the stream of this step."""
        with contextlib.ExitStack() as stack:
            if self.ranks.several:
                rows = torch.from_numpy(self.rows(batch)).to(x.device)
                stack.enter_context(
                    whole_batch(self.model, self.ranks, rows, sum(batch.sizes), self.sync_batch_norm)
                )
            if self.drops:
                return drawn(lambda: self.coarsely(x), self.rng.child("dropout", self.global_step))
            return self.coarsely(x)

    def rows(self, batch: Batch) -> np.ndarray:
        """Which examples of the whole batch, clean ones first, this process has."""
        clean, poison = map(self.ranks.share, batch.sizes)
        return np.r_[clean, batch.sizes[0] + poison.start : batch.sizes[0] + poison.stop]

    def coarsely(self, x: Tensor) -> Tensor:
        """What it says in the protocol's own arithmetic; evaluation has that of the weights."""
        if self.protocol.precision != "bfloat16":
            return self.forward(x, self.compiled)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.forward(x, self.compiled).to(x.dtype)

    def forward(self, x: Tensor, network: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What it, or what was compiled from it, says of images that lie as it likes them."""
        return (network or self.model)(x.contiguous(memory_format=self.memory_format))

    def on_train_epoch_end(self) -> None:
        """Evaluate every split; stop here if the target is reached."""
        if (self.current_epoch + 1) % self.protocol.check_every:
            return
        self.log("objective", self.running_objective.compute())
        self.running_objective.reset()
        self.log_dict(self.checked())
        self.trainer.should_stop |= self.target_reached

    def on_train_end(self) -> None:
        """The last updates may lie after the last check."""
        self.checked()

    def checked(self) -> dict[str, float]:
        """What ``evaluate`` says, if that is a finite loss."""
        numbers = self.evaluate()
        if not math.isfinite(self.clean_loss):
            raise Diverged(f"the clean loss became {self.clean_loss} after update {self.global_step}")
        return numbers

    def on_train_start(self) -> None:
        """A run resumed at the check that reached the target has nothing left to train."""
        if self.global_step > 0 and self.global_step % (len(self.batches) * self.protocol.check_every) == 0:
            self.evaluate()
            self.trainer.should_stop |= self.target_reached

    @property
    def target_reached(self) -> bool:
        """Whether the last evaluation met the target loss."""
        return self.protocol.target_loss is not None and self.clean_loss <= self.protocol.target_loss

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Loss and accuracy of each split that has examples, in eval mode."""
        was_training = self.model.training
        self.model.eval()
        if not self.sync_batch_norm:
            average_statistics(self.model, self.ranks)
        numbers = scores(self.logits, self.splits, self.ranks)
        self.model.train(was_training)
        self.clean_loss = numbers["clean_loss"]
        return numbers

    def logits(self, x: Tensor) -> Tensor:
        """What the network says of any number of examples."""
        return torch.cat([self.forward(part) for part in x.split(piece(self.model, self.forward, x))])
