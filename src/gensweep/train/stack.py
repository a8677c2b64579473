"""Many small perceptrons trained at once, as one model whose parameters have one more dimension."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.train.batches import Batches, without
from gensweep.train.objective import unlikelihood
from gensweep.train.pool import Pool
from gensweep.train.protocol import Protocol

EVALUATION_NUMBERS = 2**21  # in the largest tensor of an evaluation: what stays in a cache is fast


class End(NamedTuple):
    """How one network of a stack ended; its parameters are those of the network itself.

    Args:
        network: Which one.
        epochs: Passes over the clean examples, the last one perhaps cut short.
        updates: Steps of the optimiser.
        diverged: Why there is no finite loss, or empty.
    """

    network: int
    epochs: int
    updates: int
    diverged: str = ""


class Stack:
    """Trains M perceptrons of one shape on batches of one size, each as if it were alone.

    Parameters of the networks are stacked along a first dimension, in which nothing is ever summed: every
    network has its own loss, its own gradient, its own norm when gradients are clipped, and leaves the
    stack at the check where it has reached its target or when it diverges. Optimisers act on each number
    by itself, so that one serves all.

    Args:
        networks: Trained in place, without dropout; M of them.
        pool: Examples of each network, or once for all: then all see the same batches, and the first
            layers of all networks are one matrix product.
        protocol: As for a `Task`; without augmentation.
        orders: The stream of the order of the batches, as many as ``pool`` has sets.
        say: Takes one line after every check.

    Error: Exact but for rounding, since sums run in another order than in a network trained alone. Relative
    to the largest weight of a layer, after a few epochs: below 1e-10 in float64, below 1e-4 in float32.
    Training amplifies rounding as it does any perturbation, so long runs of float32 part for good.
    """

    def __init__(
        self,
        networks: Sequence[MLP],
        pool: Pool,
        protocol: Protocol,
        orders: Sequence[Stream],
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.networks, self.pool, self.protocol, self.say = networks, pool, protocol, say
        self.alive = list(range(len(networks)))
        self.epochs = self.updates = 0
        self.batches = [self._batches(i, order) for i, order in enumerate(orders)]
        budget = protocol.max_epochs * len(self.batches[0])
        self.last = min(budget, protocol.max_steps or budget)
        alike = zip(*(network.parameters() for network in networks), strict=True)
        self.weights = [nn.Parameter(torch.stack([p.detach() for p in parts])) for parts in alike]
        self.optimiser = protocol.optimiser(self.weights)
        self.rate = LambdaLR(
            self.optimiser, lambda step: protocol.schedule.factor(step / self.last, protocol.batch_size)
        )

    def _batches(self, i: int, order: Stream) -> Batches:
        poison = without(self.pool.poison[i]) if self.protocol.poison_factor == 0 else self.pool.poison[i]
        size = self.protocol.batch_size
        return Batches(self.pool.clean[i], poison, size, order, lambda: self.updates)

    @property
    def shared(self) -> bool:
        """Whether all networks see the same batches."""
        return len(self.batches) == 1

    def ends(self) -> Iterator[End]:
        """Train; each network as soon as it has ended, with its parameters put back into it."""
        while self.alive:
            yield from self.epoch()
            self.epochs += 1
            over = self.updates == self.last
            if self.alive and (over or self.epochs % self.protocol.check_every == 0):
                yield from self._check(over)

    def epoch(self) -> Iterator[End]:
        """One pass over the clean examples, or what the budget leaves of it."""
        members = [0] if self.shared else list(self.alive)
        for parts in zip(*(self.batches[m] for m in members), strict=True):
            if not self.alive or self.updates == self.last:
                return
            here = [self.shared or m in self.alive for m in members]
            mine = itertools.compress(parts, here)
            yield from self._step(
                [torch.stack(tensors) for tensors in zip(*(part[:4] for part in mine), strict=True)]
            )

    def _step(self, batch: Sequence[Tensor]) -> Iterator[End]:
        """One update of every network; those whose objective is not finite leave."""
        chosen_LB, y_LB, poison_LB, poison_y_LB = batch
        logits_MCB = self.logits(torch.cat([chosen_LB, poison_LB], 1))
        objective_M = self._objective(logits_MCB, y_LB, poison_y_LB)
        self.optimiser.zero_grad()
        objective_M.sum().backward()
        if self.protocol.clip_norm is not None:
            clip(self.weights, self.protocol.clip_norm)
        self.optimiser.step()
        self.rate.step()
        values = dict(zip(self.alive, objective_M.tolist(), strict=True))
        when = f"at update {self.updates}"
        self.updates += 1
        lost = {k: v for k, v in values.items() if not math.isfinite(v)}
        yield from self._leave({k: f"the objective became {v} {when}" for k, v in lost.items()})

    def logits(self, chosen_LB: Tensor) -> Tensor:
        """Logits (M, C, B) of the examples at these places, (1, B) for all networks or (M, B)."""
        x_LBI = self.pool.x.index_select(0, chosen_LB.flatten()).unflatten(0, chosen_LB.shape)
        (weight, bias), *rest = zip(self.weights[::2], self.weights[1::2], strict=True)
        if self.shared:
            z = torch.addmm(bias.flatten()[:, None], weight.flatten(0, 1), x_LBI[0].T)
            z = z.unflatten(0, weight.shape[:2])
        else:
            z = torch.baddbmm(bias[..., None], weight, x_LBI.mT)
        for weight, bias in rest:
            z = torch.baddbmm(bias[..., None], weight, z.relu())
        return torch.cat([torch.zeros_like(z), z], 1) if self.networks[0].single_logit else z

    def _objective(self, logits_MCB: Tensor, y_LB: Tensor, poison_y_LB: Tensor) -> Tensor:
        """What each network minimises, (M,), in nats; see `objective`."""
        y_MB, poison_y_MB = (y.expand(len(logits_MCB), -1) for y in (y_LB, poison_y_LB))
        clean_MCB, poison_MCB = logits_MCB.split([y_MB.shape[1], poison_y_MB.shape[1]], 2)
        attraction_M = F.cross_entropy(clean_MCB, y_MB, reduction="none").mean(1)
        if not poison_y_MB.shape[1]:
            return attraction_M
        repulsion_M = unlikelihood(poison_MCB, poison_y_MB).mean(1)
        return (1 - self.protocol.poison_factor) * attraction_M + self.protocol.poison_factor * repulsion_M

    def _check(self, over: bool) -> Iterator[End]:
        """Evaluate; a network without a finite loss leaves, one at its target too, and in the end all."""
        losses = dict(zip(self.alive, self.clean_losses(), strict=True))
        self.say(
            f"epoch {self.epochs}/{self.protocol.max_epochs}, {len(losses)} networks in the stack, "
            f"clean loss {min(losses.values()):.4g} to {max(losses.values()):.4g}"
        )
        target = -math.inf if self.protocol.target_loss is None else self.protocol.target_loss
        lost = {k: v for k, v in losses.items() if not math.isfinite(v)}
        reasons = {k: f"the clean loss became {v} after update {self.updates}" for k, v in lost.items()}
        reached = {k: "" for k, v in losses.items() if k not in lost and (over or v <= target)}
        yield from self._leave({**reached, **reasons})

    @torch.no_grad()
    def clean_losses(self) -> list[float]:
        """Mean cross-entropy over train and confusion set of each network that is left, in nats."""
        members = [0] if self.shared else self.alive
        places_LN, labels_LN = (torch.stack([self.pool.clean[m][i] for m in members]) for i in (0, 1))
        widest = max([w.shape[1] for w in self.weights] + [self.pool.x.shape[1]] * (not self.shared))
        chunk = max(1, EVALUATION_NUMBERS // (widest * len(self.alive)))
        total_M = torch.zeros(len(self.alive), dtype=torch.float64)
        for chosen_LB, y_LB in zip(places_LN.split(chunk, 1), labels_LN.split(chunk, 1), strict=True):
            logits_MCB = self.logits(chosen_LB).double()
            y_MB = y_LB.expand(len(self.alive), -1)
            total_M += F.cross_entropy(logits_MCB, y_MB, reduction="none").sum(1)
        return (total_M / labels_LN.shape[1]).tolist()

    def _leave(self, gone: Mapping[int, str]) -> Iterator[End]:
        """Put the parameters of these networks back into them, go on with the others."""
        if not gone:
            return
        for place, k in enumerate(self.alive):
            if k in gone:
                put(self.networks[k], [stacked.detach()[place] for stacked in self.weights])
        stay = [place for place, k in enumerate(self.alive) if k not in gone]
        self.alive = [self.alive[place] for place in stay]
        self.weights = narrowed(self.optimiser, torch.tensor(stay, dtype=torch.int64))
        yield from (End(k, self.epochs, self.updates, why) for k, why in gone.items())


def put(network: nn.Module, parameters: Sequence[Tensor]) -> None:
    """Give a network these parameters."""
    with torch.no_grad():
        for own, given in zip(network.parameters(), parameters, strict=True):
            own.copy_(given)


def clip(weights: Sequence[Tensor], largest: float) -> None:
    """Scale the gradient of each network to at most this norm, as `torch.nn.utils.clip_grad_norm_` does."""
    gradients = [w.grad for w in weights if w.grad is not None]
    norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
    factor_M = (largest / (torch.linalg.vector_norm(norms, dim=0) + 1e-6)).clamp(max=1)
    for g in gradients:
        g.mul_(factor_M.view(-1, *[1] * (g.dim() - 1)))


def narrowed(optimiser: torch.optim.Optimizer, stay: Tensor) -> list[nn.Parameter]:
    """The stacked parameters of the networks that stay, with what the optimiser remembers of them."""
    (group,) = optimiser.param_groups
    kept = []
    for old in group["params"]:
        new = nn.Parameter(old.detach()[stay])
        memory = optimiser.state.pop(old, {})
        optimiser.state[new] = {
            name: v[stay] if torch.is_tensor(v) and v.shape == old.shape else v for name, v in memory.items()
        }
        kept.append(new)
    group["params"] = kept
    return kept
