"""Training a hundred small networks, per network and update."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F

import stacked
from gensweep.geometry.solution import Layout
from gensweep.models.mlp import MLP
from gensweep.rng import Stream
from gensweep.train.fit import quieten
from gensweep.train.pool import Pool
from gensweep.train.stack import Stack
from ratios import ROUNDS, Ratio, quartiles
from stacked import BARE, BATCH, LOGGED, OWN_STACK, PLAIN, STACK

NETWORK = "mlp-20"
CHECKED = 20  # updates after which the weights of a network of the stack and of a plain loop are compared
TOLERANCE = 1e-4  # of the weights' length


def rows() -> Iterator[Ratio]:
    """One stack of a hundred on one order of batches, one of eight on data of their own."""
    quieten()
    rounds, off = stacked.measured(ROUNDS), apart()
    for peer, way, goal in (
        (BARE, STACK, 10),
        (LOGGED, STACK, 17),
        (PLAIN, STACK, 4),
        (PLAIN, OWN_STACK, 1.7),
    ):
        low, middle, high = quartiles([r[peer] / r[way] for r in rounds])
        own, other = (quartiles([r[name] for r in rounds])[1] for name in (way, peer))
        note = f"{own:.3g} against {other:.3g} ms; per network and update of {BATCH}"
        yield Ratio(f"train: {way}", NETWORK, peer, ROUNDS, middle, low, high, goal, off, TOLERANCE, note)


def apart() -> float:
    """How far the weights of a network of a stack are from those of a plain loop on the same batches."""
    given = stacked.data(stacked.source()[1], 0)
    pool = Pool.of([given], torch.float32)
    networks = [stacked.network(seed) for seed in range(3)]
    alone = copy.deepcopy(networks[0])
    stack = Stack(networks, pool, stacked.PROTOCOL, [Stream(0)])
    batches = list(itertools.islice(stack.batches[0], CHECKED))
    stack.last = CHECKED
    assert not list(stack.epoch())
    looped(alone, pool, batches)
    inside = torch.cat([w.detach()[0].flatten() for w in stack.weights])
    outside = Layout.of(alone).pack(dict(alone.named_parameters()))
    return float((inside - outside).norm() / outside.norm())


def looped(model: MLP, pool: Pool, batches: list) -> None:
    """A plain loop over the batches of a stack."""
    optimiser = stacked.sgd(model.parameters())
    for chosen, y, *_ in batches:
        optimiser.zero_grad()
        F.cross_entropy(model(pool.x[chosen].view(-1, 1, 28, 28)), y).backward()
        optimiser.step()
