"""How far the basin reaches along random rays, and the volume that this makes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.lanczos import Hessian
from gensweep.geometry.local_volume import Splitting, gaussian_masses
from gensweep.geometry.metric import METRICS, Metric
from gensweep.geometry.radius import Crossings, first_crossings, joined
from gensweep.geometry.risk import NoDerivative, Risk, SmoothLoss
from gensweep.geometry.solution import Solution
from gensweep.geometry.trace import trace
from gensweep.geometry.volume import LN10, bootstrap_stderr, effective_sample_size, log10_mean_power
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

ENOUGH_RAYS = 20  # below this effective number a volume was off by more than its error bar says
VOLUMES = ("log10_volume", "log10_volume_jensen", "log10_volume_trace", "log10_local_volume")
BLOCK = 2**26  # scalars of directions held at a time


@dataclass(frozen=True)
class Basin:
    """Walk out along random rays until the loss crosses the cutoff.

    Yields ``radius`` and ``rollout_loss`` per ray, then per cutoff ``log10_volume`` = log10 E[rⁿ] with
    its ``ess``, and ``log10_volume_jensen`` = n·E[log10 r], its lower bound, the steadier of the two for
    ranking networks. n, the number of perturbed scalars, is ``dimensions``. Without rays,
    ``log10_volume_trace`` = (n/2)·log10(2·height·n/tr H), where the Hessian H is taken in the metric's unit
    and height counts from the solution: log10 rⁿ of the round bowl with that trace. And
    ``log10_local_volume`` = log10 Pr[the loss stays below the cutoff] under a Gaussian step of length sigma.

    Args:
        cutoffs: Heights of the basin wall, nats; each stands in ``x``.
        relative: Whether a cutoff counts from the loss at the solution, or from zero.
        directions: Number of rays K; equal for nets that are compared, as are the rays themselves.
        metric: ``filter`` or ``euclidean``, the unit of every radius.
        min_radius: Innermost point of the scan, in that unit.
        max_radius: Where a ray is given up and marked censored, in that unit.
        scan_points: Points of the scan, evenly spaced in log radius.
        sigma: Typical length of the Gaussian step, in the metric's unit; in ``filter``, the standard
            deviation of a weight is sigma times the rms of its filter.
        particles: Of the subset simulation, per replicate.
        moves: Of each particle per level, doubled in a second set of replicates.
        replicates: Per set; 0 leaves the local volume out, which costs the most when it is tiny.

    Error: A radius is right to 0.01/n. ``log10_volume`` has a bootstrap ``stderr``, and a status that says
    when it is only a lower bound: a ray was censored, or fewer than 20 rays carry it. Even then it
    follows the mean curvature, not the product of the curvatures, when n is large; ``log10_volume_trace``
    does nothing else. ``log10_local_volume`` sees the product; see `gaussian_masses`.

    Source: Huang et al. 2019 (1906.03291), whose estimator was not released.
    """

    cutoffs: Sequence[float] = (0.1, 0.5, 1.0, 2.0)
    relative: bool = True
    directions: int = 100
    metric: str = "filter"
    min_radius: float = 1e-3
    max_radius: float = 10.0
    scan_points: int = 37
    sigma: float = 0.3
    particles: int = 50
    moves: int = 10
    replicates: int = 3

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        metric = METRICS[self.metric](solution)
        if not metric.dimensions:
            reason = f"the metric {self.metric} moves no parameter of this network"
            yield from (not_applicable(quantity, reason, split="train") for quantity in VOLUMES)
            return
        yield from self.walk(Risk(solution, data.train, data), solution.theta_P, metric, rng)

    def walk(self, loss: SmoothLoss, theta_P: Tensor, metric: Metric, rng: Stream) -> Iterator[Row]:
        """The measure for any loss, so that a test can put a bowl where the network goes."""
        base = loss(theta_P)
        cutoffs = np.sort(np.array(self.cutoffs, dtype=float))
        levels = cutoffs + base * self.relative
        walls = levels > base
        for cutoff in cutoffs[~walls]:
            yield from no_basin(cutoff, base)
        if not walls.any():
            return
        scan = np.geomspace(self.min_radius, self.max_radius, self.scan_points)
        found = self.crossings(loss, theta_P, metric, rng, base, levels[walls], scan)
        yield from rollouts(found, base, scan)
        yield Row("dimensions", metric.dimensions)
        yield Row("evaluations", found.evaluations, split="train")
        for c, cutoff in enumerate(cutoffs[walls]):
            yield from radii(found.radius_KC[:, c], found.status_KC[:, c], cutoff)
            yield from volume(
                found.radius_KC[:, c],
                found.status_KC[:, c],
                cutoff,
                metric.dimensions,
                rng.child("bootstrap"),
            )
        places = list(zip(cutoffs[walls].tolist(), (levels[walls] - base).tolist(), strict=True))
        try:
            yield from by_trace(loss, theta_P, metric, places, rng.child("trace"))
        except NoDerivative as obstacle:
            for cutoff, _ in places:
                yield not_applicable("log10_volume_trace", str(obstacle), split="train", x=cutoff)
        if self.replicates:
            yield from self.local(loss, theta_P, metric, base, places, rng.child("local"))

    def local(self, loss, theta_P, metric, base, places, rng) -> Iterator[Row]:
        """The Gaussian local volume at every cutoff, and the losses it took."""
        spent = 0
        step_P = self.sigma / math.sqrt(metric.dimensions) * metric.scale_P

        def rise(z_NP: Tensor) -> np.ndarray:
            nonlocal spent
            spent += len(z_NP)
            return np.nan_to_num(loss.many(theta_P + step_P * z_P for z_P in z_NP) - base, nan=np.inf)

        settings = Splitting(self.particles, self.moves, self.replicates)
        masses = gaussian_masses(rise, theta_P, np.array([height for _, height in places]), rng, settings)
        for (cutoff, _), mass in zip(places, masses, strict=True):
            status = "not_converged" if mass.doubt else "ok"
            at: dict[str, Any] = {"split": "train", "x": cutoff, "status": status, "reason": mass.doubt}
            yield Row("log10_local_volume", mass.log10, mass.stderr, **at)
        yield Row("local_evaluations", spent, split="train")

    def crossings(self, loss, theta_P, metric, rng, base, levels, scan) -> Crossings:
        """All rays, in blocks whose directions fit into memory."""
        block = max(1, BLOCK // len(theta_P))
        parts = []
        for first in range(0, self.directions, block):
            rays = range(first, min(first + block, self.directions))
            steps_KP = torch.stack([metric.direction(rng.child("ray", k)) for k in rays])

            def profile(radius_M: np.ndarray, ray_M: np.ndarray, steps_KP: Tensor = steps_KP) -> np.ndarray:
                places = zip(radius_M.tolist(), ray_M.tolist(), strict=True)
                return loss.many(theta_P + r * steps_KP[k] for r, k in places)

            rtol = min(1e-6, 0.01 / metric.dimensions)
            parts.append(first_crossings(profile, len(rays), base, levels, scan, rtol))
        return joined(parts)


def no_basin(cutoff: float, base: float) -> Iterator[Row]:
    """The rows of a cutoff that lies below the loss at the solution."""
    reason = f"the loss at the solution, {base:.3g}, is not below the cutoff {cutoff:g}: there is no basin"
    for quantity in VOLUMES:
        yield not_applicable(quantity, reason, split="train", x=float(cutoff))


def rollouts(found: Crossings, base: float, scan: np.ndarray) -> Iterator[Row]:
    """The loss along each ray at the scan's radii, up to the first point above the highest cutoff."""
    for k, losses in enumerate(found.scan_KS):
        yield Row("rollout_loss", base, split="train", index=k, x=0.0)
        for radius, loss in zip(scan.tolist(), losses.tolist(), strict=True):
            if not math.isnan(loss):
                yield Row("rollout_loss", loss, split="train", index=k, x=radius)


def radii(radius_K: np.ndarray, status_K: np.ndarray, cutoff: float) -> Iterator[Row]:
    """The radius of each ray at one cutoff."""
    reasons = {"censored": "no crossing before max_radius", "not_converged": "the bracket did not close"}
    for k, (radius, status) in enumerate(zip(radius_K.tolist(), status_K.tolist(), strict=True)):
        reason = reasons.get(status, "")
        yield Row("radius", radius, 0.0, "train", k, float(cutoff), status=status, reason=reason)


def volume(radius_K: np.ndarray, status_K: np.ndarray, cutoff: float, n: int, rng: Stream) -> Iterator[Row]:
    """Both volumes at one cutoff, and how many rays carry the first."""
    place: dict[str, Any] = {"split": "train", "x": float(cutoff)}
    with np.errstate(divide="ignore"):  # a radius of 0 becomes a volume of 0, and is flagged as such
        log_r = np.log(radius_K)
    censored = int((status_K == "censored").sum())
    ess = effective_sample_size(log_r, n)
    flag: dict[str, Any] = {}
    if censored:
        reason = f"{censored} of {len(log_r)} rays reached max_radius: a lower bound"
        flag = {"status": "censored", "reason": reason}
    thin: dict[str, Any] = {
        "status": "low_ess",
        "reason": f"{ess:.1f} of {len(log_r)} rays carry it: a lower bound",
    }
    yield Row(
        "log10_volume",
        log10_mean_power(log_r, n),
        bootstrap_stderr(log_r, n, rng),
        **place,
        **(flag or (thin if ess < ENOUGH_RAYS else {})),
    )
    spread = float(log_r.std(ddof=1)) / math.sqrt(len(log_r)) if len(log_r) > 1 else math.nan
    yield Row("log10_volume_jensen", float(n * log_r.mean() / LN10), n * spread / LN10, **place, **flag)
    yield Row("ess", ess, **place)
    yield Row("censored_fraction", censored / len(log_r), **place)


def by_trace(loss: SmoothLoss, theta_P: Tensor, metric: Metric, places: list, rng: Stream) -> Iterator[Row]:
    """The volume that the trace of the Hessian foretells at each (cutoff, height)."""
    product, n = loss.hvp(theta_P), metric.dimensions
    hessian = Hessian(lambda z_P: metric.scale_P * product(metric.scale_P * z_P), theta_P)
    status = reason = ""
    try:
        found = trace(hessian, rng)
        if not found.value > 0:
            status, reason = "not_applicable", f"the trace is {found.value:.3g}, not positive"
    except FloatingPointError as error:
        status, reason = "nonfinite", str(error)
    for cutoff, height in places:
        place: dict[str, Any] = {"split": "train", "x": cutoff}
        if reason:
            yield Row("log10_volume_trace", math.nan, math.nan, **place, status=status, reason=reason)
            continue
        loose: dict[str, Any] = {"status": "not_converged", "reason": "the trace is not known to 2 %"}
        flag = {} if found.settled else loose
        value = n / 2 * math.log10(2 * height * n / found.value)
        yield Row("log10_volume_trace", value, n / 2 * found.stderr / found.value / LN10, **place, **flag)
    yield Row("products", hessian.products, split="train")
