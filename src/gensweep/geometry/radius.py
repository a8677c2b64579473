"""How far along a ray until the loss first crosses a cutoff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gensweep.geometry.bracket import AROUND, Brackets, Proposals, brackets

QUIET = 0.1  # of the lowest wall: where the loss has changed by less, the scan may leap
LEAP = 4.0  # times the radius, at most
ROUNDS = 200  # at most; smooth rays take five

# loss(radius_M, ray_M) -> nats_M: the loss at M places, each a distance along one of the rays.
Profile = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Crossings:
    """Where K rays first cross each of C levels.

    Args:
        radius_KC: The outermost *evaluated* point inside the level, with every evaluated point below it
            inside too; the end of the scan for a censored ray.
        width_KC: How far beyond it the crossing may lie; NaN for a censored ray.
        loss_KC: The loss there, nats; at most the level.
        status_KC: ``ok``, ``censored`` (no crossing before the end of the scan) or ``not_converged`` (the
            width is above the tolerance).
        scan_KS: Loss at the scan's radii, nats; NaN where the scan leapt, and beyond the highest level.
        evaluations: Losses evaluated in all.
    """

    radius_KC: np.ndarray
    width_KC: np.ndarray
    loss_KC: np.ndarray
    status_KC: np.ndarray
    scan_KS: np.ndarray
    evaluations: int

    def log_brackets(self, c: int) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of the radii at level c and of the outer ends of their brackets, (K,).

        A censored ray has no outer end and counts as exact here; its status says what it is.
        """
        radius_K = self.radius_KC[:, c]
        return np.log(radius_K), np.log(radius_K + np.nan_to_num(self.width_KC[:, c]))


def first_crossings(
    profile: Profile, rays: int, base: float, levels_C: np.ndarray, scan_S: np.ndarray, rtol: float
) -> Crossings:
    """Scan each ray outwards, then close in on every crossing.

    All levels share the points of a ray, which is left as soon as it has crossed the highest. Every crossing
    then gets one point a round: where a polynomial through the nearest six, ln r over ln(rise/wall), says
    that it lies, and a little beyond, so that its bracket shrinks from both sides.

    Args:
        profile: The loss along the rays; NaN and infinity count as above every level.
        rays: Number of rays K.
        base: Loss at radius 0, at most the lowest level, nats.
        levels_C: Heights to cross, nats, ascending.
        scan_S: Radii of the scan, ascending, above 0.
        rtol: Width of the final bracket relative to the radius; a volume in n dimensions asks for 0.01/n.

    Cost: Beside the scan, 3 to 5 losses per crossing at an rtol of 1e-6 to 1e-7, and 2 at 1e-2, on rays of
    networks; on a wall, where only bisection helps, log2 of its interval of the scan over rtol.

    Error: The crossing lies within ``width_KC`` beyond the radius. That is the final bracket, or more where
    the loss jumps over the bracket by more than twice what its slope explains: then it is rounding that
    crosses the level, the jump over the slope is the width, and the search ends. A jump of more than a
    hundredth of the wall is a wall itself, and stands where it stands.

    An excursion above the level that begins and ends between two neighbouring points of the scan goes unseen.
    From a point where the loss has not yet changed by a tenth of the lowest wall, the scan leaps as far as it
    could without reaching that tenth if the change grew with the cube of the radius, four times as far at
    most. Of 4,000 rays whose loss swings by up to 150 % on the way, such gaps hid the first crossing of 110,
    and of 109 without the leaps.

    Source: Brent 1973, chapter 4, for interpolation in a bracket; Neville 1934 for that by many points.
    """
    known = _Known(profile, base, rays)
    scan_KS = _scan(known, levels_C, scan_S)
    found = _close_in(known, levels_C, rtol)
    censored_M = np.isinf(found.outer_M)
    width_M = np.where(censored_M, np.nan, found.width_M)
    status_M = np.where(width_M > rtol * found.inner_M, "not_converged", "ok").astype(object)
    status_M[censored_M] = "censored"
    of_each = (x.reshape(rays, -1) for x in (found.inner_M, width_M, found.loss_M, status_M))
    radius_KC, width_KC, loss_KC, status_KC = of_each
    return Crossings(radius_KC, width_KC, loss_KC, status_KC, scan_KS, known.evaluations)


def joined(parts: list[Crossings]) -> Crossings:
    """The rays of several blocks as one."""
    return Crossings(
        radius_KC=np.concatenate([part.radius_KC for part in parts]),
        width_KC=np.concatenate([part.width_KC for part in parts]),
        loss_KC=np.concatenate([part.loss_KC for part in parts]),
        status_KC=np.concatenate([part.status_KC for part in parts]),
        scan_KS=np.concatenate([part.scan_KS for part in parts]),
        evaluations=sum(part.evaluations for part in parts),
    )


class _Known:
    """All known points of K rays, by radius: the first is where they begin, the last stands at infinity."""

    def __init__(self, profile: Profile, base: float, rays: int) -> None:
        self.profile, self.base, self.evaluations = profile, base, 0
        self.radius_KM, self.loss_KM = np.tile([0.0, np.inf], (rays, 1)), np.tile([base, np.inf], (rays, 1))

    def __call__(self, radius_M: np.ndarray, ray_M: np.ndarray) -> np.ndarray:
        """Evaluate new places, each once, and keep them; their losses come by ray, then by radius."""
        ray, radius = np.unique([ray_M, radius_M], axis=1)
        ray = ray.astype(int)
        loss = np.nan_to_num(self.profile(radius, ray), nan=np.inf, posinf=np.inf)
        self.evaluations += len(loss)
        column = np.arange(len(ray)) - np.searchsorted(ray, ray)
        more = np.full((2, len(self.radius_KM), column.max() + 1), np.inf)
        more[:, ray, column] = radius, loss
        radius_KM, loss_KM = np.concatenate([[self.radius_KM, self.loss_KM], more], axis=2)
        order_KM = radius_KM.argsort(1)[:, : np.isfinite(radius_KM).sum(1).max() + 1]
        self.radius_KM = np.take_along_axis(radius_KM, order_KM, 1)
        self.loss_KM = np.take_along_axis(loss_KM, order_KM, 1)
        return loss

    def around(self, ray_M: np.ndarray, level_M: np.ndarray) -> Brackets:
        """The first crossing of each ray as far as it is known."""
        first_M = (~(self.loss_KM[ray_M] <= level_M[:, None])).argmax(1)
        place_MN = first_M[:, None] + np.arange(-AROUND // 2, AROUND // 2)
        places = ray_M[:, None], np.clip(place_MN, 0, self.radius_KM.shape[1] - 1)
        return brackets(self.radius_KM[places], self.loss_KM[places], self.base, level_M)


def _scan(known: _Known, levels_C: np.ndarray, scan_S: np.ndarray) -> np.ndarray:
    rays, wall = len(known.radius_KM), levels_C[0] - known.base
    scan_KS, next_K, change_K = np.full((rays, len(scan_S)), np.nan), np.zeros(rays, int), np.zeros(rays)
    for s, radius in enumerate(scan_S):
        ray_M = np.flatnonzero(next_K == s)
        if len(ray_M):
            loss_M = scan_KS[ray_M, s] = known(np.full(len(ray_M), radius), ray_M)
            change_M = change_K[ray_M] = np.maximum(change_K[ray_M], np.abs(loss_M - known.base))
            reach_M = radius * np.cbrt(np.minimum(QUIET * wall / np.maximum(change_M, 1e-30), LEAP**3))
            leap_M = np.searchsorted(scan_S, reach_M, "right") - 1
            next_K[ray_M] = np.where(loss_M <= levels_C[-1], np.maximum(leap_M, s + 1), len(scan_S))
    return scan_KS


def _close_in(known: _Known, levels_C: np.ndarray, rtol: float) -> Brackets:
    """One more point in every open bracket, until none is open; each ray with all its levels, M = K·C."""
    rays = len(known.radius_KM)
    ray_M, level_M = np.repeat(np.arange(rays), len(levels_C)), np.tile(levels_C, rays)
    found, proposals = known.around(ray_M, level_M), Proposals(rtol)
    for _ in range(ROUNDS):
        radius_M = proposals(found)
        open_M = found.open_M(rtol) & (found.inner_M < radius_M) & (radius_M < found.outer_M)
        if not open_M.any():
            break
        known(radius_M[open_M], ray_M[open_M])
        found = known.around(ray_M, level_M)
    return found
