"""The largest eigenvalues of the Hessian and its trace."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import nn

from gensweep.geometry.lanczos import Hessian, lanczos, largest
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.geometry.trace import Trace, trace
from peers import counted
from ratios import Ratio, Way, compared, timed
from subjects import RNG, Subject, perceptron, residual

TOP = 10
ROUNDS = {"mlp-20": 3, "mlp-512": 1, "resnet-8": 1}  # PyHessian takes up to a minute a time
PROBES = 100  # of PyHessian, from which its spread per probe is taken
GOALS = {"mlp-20": 30, "mlp-512": 12, "resnet-8": 7}


class Found(NamedTuple):
    """Eigenvalues, largest first, and the products that they took."""

    values: np.ndarray
    products: int


def nets() -> list[Subject]:
    """Two perceptrons and a small residual network on few images: PyHessian takes minutes on more."""
    return [perceptron(20, 2000), perceptron(512, 2000), residual(8, 512).first(32)]


def rows() -> Iterator[Ratio]:
    """Both jobs."""
    for net in nets():
        # It orders by |λ| and stops early: of a residual net it has other numbers, which is its finding.
        allowed = math.inf if "resnet" in net.name else 0.1
        yield top(net, "PyHessian 0.1, defaults", pyhessian_top, allowed, ROUNDS[net.name], GOALS[net.name])
        yield top(net, "curvlinops 3.0, scipy eigsh", curvlinops_top, 1e-3, ROUNDS[net.name])
    yield top(perceptron(20, 2000), "PyHessian 0.1, tol=1e-5", precise, 1e-3, 1)
    for net in nets():
        if "resnet" not in net.name:  # minutes, for the spread of its probes
            yield traced(net, "PyHessian 0.1", pyhessian_trace, ROUNDS[net.name])
        yield traced(net, "curvlinops 3.0, hutch++", curvlinops_trace, ROUNDS[net.name])


def hessian_of(net: Subject) -> Hessian:
    """Ours, from the network on."""
    return Hessian(Risk(net.solution, net.data.train, net.data).hvp(net.theta_P), net.theta_P)


def our_top(net: Subject) -> Found:
    """Restarted Lanczos."""
    hessian = hessian_of(net)
    return Found(largest(hessian, TOP, RNG.child("top"))[0], hessian.products)


@cache
def settled(net: Subject) -> np.ndarray:
    """The largest eigenvalues by 120 Lanczos steps in float64: what both are held against."""
    model = copy.deepcopy(net.model).double()
    risk = Risk(Solution(model, net.theta_P.double()), net.data.train, net.data)
    hessian = Hessian(risk.hvp(net.theta_P.double()), net.theta_P.double())
    return lanczos(hessian, hessian.vector(RNG.child("settled").normal(len(hessian))), 120).values_M[::-1][
        :TOP
    ]


def off(net: Subject, found: Found) -> float:
    """How far eigenvalues are from the settled ones, relative."""
    known = settled(net)
    return float(np.max(np.abs(found.values - known) / known))


def top(
    net: Subject,
    peer: str,
    theirs: Callable[[Subject], Found],
    tolerance: float,
    rounds: int,
    goal: float | None = None,
) -> Ratio:
    """Ten eigenvalues: ours may be off by 0.1 %, a peer by what its own rule for stopping leaves."""

    def apart(a: Found, b: Found) -> float:
        return max(off(net, a) * tolerance / 1e-3, off(net, b))

    def note(a: Found, b: Found) -> str:
        spent = f"{a.products} products, off {off(net, a):.0e}, against {b.products}, off {off(net, b):.0e}"
        return f"{spent}; N={len(net.data.train)}"

    ways = Way(lambda: our_top(net)), Way(lambda: theirs(net))
    return compared("top-10 eigenvalues", net.name, peer, *ways, apart, tolerance, goal, rounds, note)


def pyhessian_of(net: Subject) -> Any:
    """PyHessian's object on a copy, since it writes gradients into the model."""
    from pyhessian import hessian

    return hessian(copy.deepcopy(net.model), nn.CrossEntropyLoss(), dataloader=net.loader, cuda=False)


def pyhessian_top(net: Subject, **settings: float) -> Found:
    """Power iteration with deflation."""
    with counted() as calls:
        values = pyhessian_of(net).eigenvalues(top_n=TOP, **settings)[0]
    return Found(np.array(values), calls[0] // len(net.loader))


def precise(net: Subject) -> Found:
    """The same at the tolerance where it is right to 0.1 %; at 1e-4 it missed an eigenvalue."""
    return pyhessian_top(net, tol=1e-5, maxIter=1000)


def curvlinops_of(net: Subject) -> Any:
    """Its operator over the same batches."""
    from curvlinops import HessianLinearOperator

    model = copy.deepcopy(net.model)
    parameters, batches = list(model.parameters()), list(net.loader)
    return HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, batches, check_deterministic=False)


def curvlinops_top(net: Subject) -> Found:
    """Its operator in scipy's eigsh, at the tolerance of ours."""
    operator, calls = curvlinops_of(net).to_scipy(), [0]

    def product(v: np.ndarray) -> np.ndarray:
        calls[0] += 1
        return operator @ v.astype(np.float32)

    start = np.random.default_rng(0).standard_normal(operator.shape[0])
    wrapped = LinearOperator(operator.shape, matvec=product, dtype=np.float64)
    found = eigsh(wrapped, TOP, which="LA", v0=start, tol=1e-4, return_eigenvectors=False)
    return Found(np.sort(found)[::-1], calls[0])


class Sum(NamedTuple):
    """A trace, its standard error, and how many times its products were needed for it."""

    value: float
    stderr: float
    products: float


def our_trace(net: Subject) -> Sum:
    """Hutch++ until its standard error is 2 %."""
    hessian = hessian_of(net)
    found: Trace = trace(hessian, RNG.child("trace"))
    return Sum(found.value, found.stderr, hessian.products)


def pyhessian_trace(net: Subject) -> Sum:
    """Hutchinson: a hundred probes, whose spread says how many reach a given error."""
    probes = pyhessian_of(net).trace(maxIter=PROBES, tol=0.0)
    return Sum(float(np.mean(probes)), float(np.std(probes, ddof=1)) / math.sqrt(len(probes)), len(probes))


def curvlinops_trace(net: Subject) -> Sum:
    """Hutch++ with as many products as ours; it states no standard error."""
    from curvlinops import hutchpp_trace

    products = 3 * (our_products(net) // 3)
    return Sum(float(hutchpp_trace(curvlinops_of(net), products)), math.nan, products)


@cache
def our_products(net: Subject) -> int:
    """How many ours takes."""
    return int(our_trace(net).products)


def traced(net: Subject, peer: str, theirs: Callable[[Subject], Sum], rounds: int) -> Ratio:
    """A trace: the peer's time is scaled to the probes that its spread asks for at our standard error."""
    ours, own = our_trace(net), theirs_or_none(theirs, net)
    needed = 1.0 if own is None or math.isnan(own.stderr) else (own.stderr / ours.stderr) ** 2

    def apart(a: Sum, b: Sum) -> float:
        error = a.stderr if math.isnan(b.stderr) else math.hypot(a.stderr, b.stderr)
        return abs(a.value - b.value) / error

    def note(a: Sum, b: Sum) -> str:
        stated = "none stated" if math.isnan(b.stderr) else f"{needed * b.products:.0f} products for it"
        return f"{a.value:.4g} ± {a.stderr:.2g} in {a.products:.0f} products against {b.value:.4g}, {stated}"

    ways = Way(lambda: our_trace(net)), Way(lambda: theirs(net), 1 / needed)
    return compared("trace to equal error", net.name, peer, *ways, apart, 4.0, None, rounds, note)


def theirs_or_none(theirs: Callable[[Subject], Sum], net: Subject) -> Sum | None:
    """What a peer finds, or None where it cannot be asked; the comparison then says why."""
    try:
        return timed(Way(lambda: theirs(net)))[1]
    except Exception:
        return None
