"""How far the basin reaches along random rays, and the volume that this makes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from gensweep.data.base import Data
from gensweep.geometry.derivative import NoDerivative
from gensweep.geometry.ellipsoid import ellipsoid
from gensweep.geometry.lanczos import Hessian
from gensweep.geometry.local_volume import LossRise, Splitting, gaussian_masses
from gensweep.geometry.metric import METRICS, Metric
from gensweep.geometry.radius import Crossings
from gensweep.geometry.rays import Rays
from gensweep.geometry.risk import Risk, SmoothLoss
from gensweep.geometry.solution import TWO_LOGITS, Solution, normalised
from gensweep.geometry.trace import trace
from gensweep.geometry.volume import LN10, StarVolume, star_volume
from gensweep.rng import Stream
from gensweep.rows import Row, not_applicable

ENOUGH_RAYS = 20  # below this effective number a volume was off by more than its error bar says
Places = list[tuple[float, float]]  # (cutoff, its height above the loss at the solution), nats, ascending


@dataclass(frozen=True)
class Basin:
    """Walk out along random rays until the loss crosses the cutoff.

    Yields ``radius`` and ``rollout_loss`` per ray, then per cutoff ``log10_volume`` = log10 E[rⁿ] with
    its ``ess``, and ``log10_volume_jensen`` = n·E[log10 r], its lower bound, the steadier of the two for
    ranking networks. n, the number of perturbed scalars, is ``dimensions``. The same rays once more, leaning
    towards flat directions: ``log10_volume_preconditioned`` = log10 det P + log10 E[r(Pu)ⁿ] with
    ``ess_preconditioned``, where r counts lengths of Pu, and P = λ^-½ along the leading directions of the
    Hessian H in the metric's unit, λ̄^-½ along all others, λ̄ their mean curvature. Without rays,
    ``log10_volume_trace`` = (n/2)·log10(2·height·n/tr H), height counted from the solution: log10 rⁿ
    of the round bowl with that trace. And ``log10_local_volume`` = log10 Pr[the loss stays below the cutoff]
    under a Gaussian step of length sigma.

    Args:
        cutoffs: Heights of the basin wall, nats; each stands in ``x``.
        relative: Whether a cutoff counts from the loss at the solution, or from zero.
        directions: Number of rays K; equal for nets that are compared, as are the rays themselves.
        metric: ``filter``, ``layer`` or ``euclidean``, the unit of every radius.
        min_radius: Innermost point of the scan, in that unit.
        max_radius: Where a ray is given up and marked censored, in that unit.
        scan_points: Points of the scan, evenly spaced in log radius; it leaps over some where the loss is
            still within a tenth of the lowest cutoff from that at the solution, see `first_crossings`.
        sigma: Typical length of the Gaussian step, in the metric's unit; in ``filter``, the standard
            deviation of a weight is sigma times the rms of its filter.
        particles: Of the subset simulation, per replicate.
        moves: Of each particle per level, doubled in a second set of replicates.
        replicates: Per set; 0 leaves the local volume out, which costs the most when it is tiny.
        rank: Leading directions of H in P; 2·rank + 10 float64 vectors of length n are held, and 0 leaves the
            preconditioned volume out. Curvature below 2·height/max_radius², at the highest cutoff, counts
            as that: no direction is taken for longer than a ray.
        logit_normalised: Whether the loss is that of logits centred and scaled to norm 1 per example. It is
            bounded; with ten classes it lies between 1.4 and 3.3 nats.

    Cost: About (10 to 16 + 4 per cutoff)·K F, twice with ``rank``; 60 to 300 HVP for the trace, 2·rank + 30
    for P; 1000 F for the local volume, plus 3·moves·particles·replicates F per level of a deep one.

    Error: The ``stderr`` of a radius is half the width of its bracket, which begins there and is at most
    0.01/n of it, or ``not_converged``: float32 settles a radius to about 1e-7, just enough for n of 1e5.
    That leaves volumes 0.005 orders uncertain; their ``stderr`` is that and the bootstrap over rays. The
    status says when one is only a lower bound: a ray was censored, or fewer than 20 rays carry it.
    ``log10_local_volume``: see `gaussian_masses`.

    Invariance: Layer-wise rescaling of a ReLU net leaves every row alone in ``filter`` and ``layer``, not in
    ``euclidean``. Rescaling single neurons changes them in all three: a filter's incoming scale is undone,
    that of the weights it feeds is not. Logit scale changes them but for ``logit_normalised``.

    Trust: When n is large, ``log10_volume`` follows the mean curvature and not the product of the
    curvatures; ``log10_volume_trace`` does nothing else. The preconditioned volume sees the product in
    ``rank`` directions: of two lower bounds, take the higher. Nets of different n do not compare.

    Source: Huang et al. 2019 (1906.03291), whose estimator was not released; Scherlis & Belrose 2025
    (2501.18812) for preconditioned rays.
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
    rank: int = 30
    logit_normalised: bool = False

    def __call__(self, solution: Solution, data: Data, rng: Stream) -> Iterator[Row]:
        """The rows of one solution."""
        metric = METRICS[self.metric](solution)
        nothing = "" if metric.dimensions else f"the metric {self.metric} moves no parameter of this network"
        nothing = TWO_LOGITS if self.logit_normalised and data.num_classes == 2 else nothing
        if nothing:
            for cutoff in sorted(self.cutoffs):
                yield from self.no_basin(cutoff, nothing)
            return
        per_example = normalised(solution.loss) if self.logit_normalised else solution.loss
        risk = Risk(solution, data.train, data, per_example=per_example)
        yield from self.walk(risk, solution.theta_P, metric, rng)

    def walk(self, loss: SmoothLoss, theta_P: Tensor, metric: Metric, rng: Stream) -> Iterator[Row]:
        """The measure for any loss, so that a test can put a bowl where the network goes."""
        base = loss(theta_P)
        cutoffs = np.sort(np.array(self.cutoffs, dtype=float))
        levels = cutoffs + base * self.relative
        walls = levels > base
        for cutoff in cutoffs[~walls]:
            yield from self.no_basin(cutoff, f"there is no basin: {base:.3g}, the loss at θ*, is higher")
        if not walls.any():
            return
        scan = np.geomspace(self.min_radius, self.max_radius, self.scan_points)
        rtol = min(1e-6, 0.01 / metric.dimensions)
        rays = Rays(loss, theta_P, metric, base, levels[walls], scan, rtol, self.directions, rng.child("ray"))
        places = list(zip(cutoffs[walls].tolist(), (levels[walls] - base).tolist(), strict=True))
        yield Row("dimensions", metric.dimensions)
        yield from self.plain(rays, places, rng.child("bootstrap"))
        yield from self.curved(rays, places, rng)
        if self.replicates:
            yield from self.local(loss, theta_P, metric, base, places, rng.child("local"))

    def no_basin(self, cutoff: float, reason: str) -> Iterator[Row]:
        """The rows of a cutoff without a volume."""
        asked = {"volume_preconditioned": self.rank, "local_volume": self.replicates}
        for name in ("volume", "volume_jensen", "volume_trace", *(name for name in asked if asked[name])):
            yield not_applicable(f"log10_{name}", reason, split="train", x=float(cutoff))

    def plain(self, rays: Rays, places: Places, rng: Stream) -> Iterator[Row]:
        """The rays as they are, and both volumes that they make."""
        found = rays.uniform()
        yield from rollouts(found, rays.base, rays.scan_S)
        yield Row("evaluations", found.evaluations, split="train")
        for c, (cutoff, _) in enumerate(places):
            yield from radii(found, c, cutoff)
            star = star_volume(*found.log_brackets(c), rays.metric.dimensions, rng)
            yield from volumes(star, found.status_KC[:, c], cutoff)

    def curved(self, rays: Rays, places: Places, rng: Stream) -> Iterator[Row]:
        """The volumes that the Hessian helps to."""
        missing = ["log10_volume_trace", *["log10_volume_preconditioned"] * bool(self.rank)]
        why: Any = None
        try:
            hessian = rays.metric.hessian(rays.loss.hvp(rays.theta_P))
            yield from by_trace(hessian, places, rng.child("trace"))
            missing.remove("log10_volume_trace")
            if self.rank:
                yield from self.preconditioned(rays, hessian, places, rng)
            yield Row("products", hessian.products, split="train")
        except NoDerivative as obstacle:
            why = {"status": "not_applicable", "reason": str(obstacle)}
        except FloatingPointError as error:
            why = {"status": "nonfinite", "reason": str(error)}
        for cutoff, _ in places if why else ():
            yield from (Row(name, math.nan, math.nan, "train", x=cutoff, **why) for name in missing)

    def preconditioned(self, rays: Rays, hessian: Hessian, places: Places, rng: Stream) -> Iterator[Row]:
        """The volume along rays that lean towards the flat directions."""
        shape = ellipsoid(hessian, self.rank, 2 * places[-1][1] / self.max_radius**2, rng.child("ellipsoid"))
        found, log_length_K = rays.stretched(shape)
        yield Row("preconditioned_evaluations", found.evaluations, split="train")
        for c, (cutoff, _) in enumerate(places):
            inner_K, outer_K = (ends_K - log_length_K for ends_K in found.log_brackets(c))
            star = star_volume(inner_K, outer_K, rays.metric.dimensions, rng.child("bootstrap"))
            value, flag = star.log10 + shape.logdet / LN10, caution(star, found.status_KC[:, c])
            yield Row("log10_volume_preconditioned", value, star.stderr, "train", x=cutoff, **flag)
            yield Row("ess_preconditioned", star.ess, split="train", x=cutoff)

    def local(self, loss, theta_P, metric, base, places, rng) -> Iterator[Row]:
        """The Gaussian local volume at every cutoff, and the losses it took."""
        rise = LossRise(loss, theta_P, self.sigma / math.sqrt(metric.dimensions) * metric.scale_P, base)
        settings = Splitting(self.particles, self.moves, self.replicates)
        masses = gaussian_masses(rise, theta_P, np.array([height for _, height in places]), rng, settings)
        for (cutoff, _), mass in zip(places, masses, strict=True):
            at: Any = {"status": "not_converged" if mass.doubt else "ok", "reason": mass.doubt}
            yield Row("log10_local_volume", mass.log10, mass.stderr, "train", x=cutoff, **at)
        yield Row("local_evaluations", rise.evaluations, split="train")


def rollouts(found: Crossings, base: float, scan: np.ndarray) -> Iterator[Row]:
    """The loss along each ray where the scan took it, up to the first point above the highest cutoff."""
    for k, losses in enumerate(found.scan_KS):
        yield Row("rollout_loss", base, split="train", index=k, x=0.0)
        for radius, loss in zip(scan.tolist(), losses.tolist(), strict=True):
            if not math.isnan(loss):
                yield Row("rollout_loss", loss, split="train", index=k, x=radius)


def radii(found: Crossings, c: int, cutoff: float) -> Iterator[Row]:
    """The radius of each ray at one cutoff, half of its bracket's width for an error."""
    reasons = {"censored": "no crossing before max_radius: a lower bound, by an unknown length"}
    columns = (found.radius_KC[:, c], found.width_KC[:, c], found.status_KC[:, c])
    for k, (radius, width, status) in enumerate(zip(*(x.tolist() for x in columns), strict=True)):
        loose = f"the loss settles the radius to {width / radius:.2g} of it" if status != "ok" else ""
        why = reasons.get(status, loose)
        yield Row("radius", radius, width / 2, "train", k, cutoff, status=status, reason=why)


def volumes(star: StarVolume, status_K: np.ndarray, cutoff: float) -> Iterator[Row]:
    """Both volumes at one cutoff, and how many rays carry the first."""
    place: dict[str, Any] = {"split": "train", "x": cutoff}
    of_mean = caution(star, status_K, means=True)
    yield Row("log10_volume", star.log10, star.stderr, **place, **caution(star, status_K))
    yield Row("log10_volume_jensen", star.jensen, star.jensen_stderr, **place, **of_mean)
    yield Row("ess", star.ess, **place)
    yield Row("censored_fraction", float((status_K == "censored").mean()), **place)


def caution(star: StarVolume, status_K: np.ndarray, means: bool = False) -> dict[str, Any]:
    """Why a volume, or with ``means`` its Jensen bound, is not to be taken as it stands."""
    k, censored, loose = len(status_K), (status_K == "censored").sum(), (status_K == "not_converged").sum()
    if censored:
        return {"status": "censored", "reason": f"{censored} of {k} rays reached max_radius: a lower bound"}
    if star.ess < ENOUGH_RAYS and not means:
        return {"status": "low_ess", "reason": f"{star.ess:.1f} of {k} rays carry it: a lower bound"}
    if loose and star.slack > star.sampling:
        reason = f"{loose} of {k} radii are loose, by {star.slack:.2g} orders"
        return {"status": "not_converged", "reason": reason}
    return {}


def by_trace(hessian: Hessian, places: Places, rng: Stream) -> Iterator[Row]:
    """The volume that the trace of the Hessian foretells at each (cutoff, height)."""
    n, found = len(hessian), trace(hessian, rng)
    loose: dict[str, Any] = {"status": "not_converged", "reason": "the trace is not known to 2 %"}
    for cutoff, height in places:
        if not found.value > 0:
            why = f"the trace is {found.value:.3g}, not positive"
            yield not_applicable("log10_volume_trace", why, split="train", x=cutoff)
            continue
        value, stderr = n / 2 * math.log10(2 * height * n / found.value), found.stderr / found.value
        flag = {} if found.settled else loose
        yield Row("log10_volume_trace", value, n / 2 * stderr / LN10, "train", x=cutoff, **flag)
