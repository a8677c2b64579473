"""Sampling around a point by Langevin steps that are accepted or rejected, and so exact at any step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gensweep.geometry.risk import Loss
from gensweep.rng import Stream

PILOT = 200  # moves that find the step
ACCEPTED = 0.6  # of them: near the 0.574 at which a chain moves fastest in many dimensions


class State(NamedTuple):
    """A point of a chain.

    Args:
        place: θ, float64 (P,).
        loss: There, in nats.
        energy: U = nβ·L + γ/2·‖θ − θ*‖².
        slope: ∇U, (P,).
        share: ⟨θ − θ*, ∇U⟩/P, whose mean over the density is 1, whatever the loss.
    """

    place: Tensor
    loss: float
    energy: float
    slope: Tensor
    share: float


@dataclass(frozen=True)
class Chain:
    """The second half of a chain, move by move, (T,) each, and the mean acceptance of all of it."""

    losses: np.ndarray
    shares: np.ndarray
    acceptance: float


@dataclass(frozen=True)
class Posterior:
    """The density exp(−nβ·L(θ) − γ/2·‖θ − θ*‖²).

    Args:
        loss: L, in nats.
        theta_P: θ*.
        heat: nβ, one over the temperature, in 1/nats.
        gamma: γ, in 1/weight².
    """

    loss: Loss
    theta_P: Tensor
    heat: float
    gamma: float

    def at(self, place_P: Tensor) -> State:
        """The loss, the energy and its slope at one point; 1 G."""
        loss, gradient = self.loss.grad(place_P.to(self.theta_P))
        pull = place_P - self.theta_P.double()
        energy = self.heat * loss + self.gamma / 2 * pull.square().sum().item()
        slope = self.heat * gradient.double() + self.gamma * pull
        return State(place_P, loss, energy, slope, (pull @ slope).item() / len(pull))


def move(posterior: Posterior, now: State, step: float, random: np.random.Generator) -> tuple[State, float]:
    """One Metropolis-adjusted Langevin move: where the chain stands next, and how likely the proposal was.

    Args:
        posterior: The density.
        now: Where the chain stands.
        step: ε: the proposal is Gaussian around θ − ε/2·∇U with variance ε per coordinate, weight².
        random: The chain's own generator.

    Source: Roberts & Tweedie 1996, Bernoulli 2(4).
    """
    noise = torch.from_numpy(random.standard_normal(len(now.place))).to(now.place)
    proposed = posterior.at(now.place - step / 2 * now.slope + math.sqrt(step) * noise)
    back = now.place - proposed.place + step / 2 * proposed.slope
    log_ratio = now.energy - proposed.energy
    log_ratio += ((noise.square().sum() - back.square().sum() / step) / 2).item()
    chance = math.exp(min(0.0, log_ratio)) if math.isfinite(log_ratio) else 0.0
    return (proposed if random.random() < chance else now), chance


def pilot(posterior: Posterior, rng: Stream) -> tuple[State, float]:
    """A chain from θ* that adjusts its step to the acceptance; where it ends, and the step it settled on."""
    state, log_step, logs = posterior.at(posterior.theta_P.double()), -math.log(posterior.gamma), []
    random = rng.generator()
    for _ in range(PILOT):
        state, chance = move(posterior, state, math.exp(log_step), random)
        log_step += chance - ACCEPTED
        logs.append(log_step)
    return state, math.exp(float(np.mean(logs[PILOT // 2 :])))


def chain(posterior: Posterior, start: State, step: float, draws: int, rng: Stream) -> Chain:
    """A chain of so many moves, with a generator of its own; the first half is dropped."""
    random, state = rng.generator(), start
    losses, shares, chances = np.empty(draws), np.empty(draws), np.empty(draws)
    for t in range(draws):
        state, chances[t] = move(posterior, state, step, random)
        losses[t], shares[t] = state.loss, state.share
    return Chain(losses[draws // 2 :], shares[draws // 2 :], float(chances.mean()))


def split_r_hat(losses_CT: np.ndarray) -> float:
    """Whether halves of chains agree: √(1 + between/within variance), near 1 when they do; NaN below 4 draws.

    Source: Gelman et al., Bayesian Data Analysis, 3rd edition, §11.4.

    >>> split_r_hat(np.array([[0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]])) < 1
    True
    """
    half = losses_CT.shape[1] // 2
    if half < 2:
        return math.nan
    halves = np.concatenate([losses_CT[:, :half], losses_CT[:, -half:]])
    within, between = halves.var(axis=1, ddof=1).mean(), halves.mean(axis=1).var(ddof=1)
    if within == 0:
        return 1.0 if between == 0 else math.inf
    return math.sqrt((half - 1) / half + between / within)
