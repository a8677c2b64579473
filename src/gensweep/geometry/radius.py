"""How far along a ray until the loss first crosses a cutoff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize.elementwise import find_root

# loss(radius_M, ray_M) -> nats_M: the loss at M places, each a distance along one of the rays.
Profile = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Crossings:
    """Where K rays first cross each of C levels.

    Args:
        radius_KC: The outermost *evaluated* point inside the level, with every evaluated point below it
            inside too; the end of the scan for a censored ray.
        loss_KC: The loss there, nats; at most the level.
        status_KC: ``ok``, ``censored`` (no crossing before the end of the scan) or ``not_converged``.
        scan_KS: Loss at the scan's radii, nats; NaN beyond the highest level.
        evaluations: Losses evaluated in all.
    """

    radius_KC: np.ndarray
    loss_KC: np.ndarray
    status_KC: np.ndarray
    scan_KS: np.ndarray
    evaluations: int


def first_crossings(
    profile: Profile, rays: int, base: float, levels_C: np.ndarray, scan_S: np.ndarray, rtol: float
) -> Crossings:
    """Scan each ray outwards, then close in on every crossing.

    The levels share the scan; a ray is left as soon as it has crossed the highest. Inside the first
    scan interval that holds a crossing, Chandrupatla's method keeps one evaluated point on either side.

    Args:
        profile: The loss along the rays; NaN and infinity count as above every level.
        rays: Number of rays K.
        base: Loss at radius 0, at most the lowest level, nats.
        levels_C: Heights to cross, nats, ascending.
        scan_S: Radii of the scan, ascending, above 0.
        rtol: Width of the final bracket relative to the radius; a volume in n dimensions asks for 0.01/n.

    Error: The radius is right to ``rtol``. An excursion above the level that begins and ends between two
    neighbouring scan points goes unseen.

    Source: Chandrupatla 1997, as in `scipy.optimize.elementwise`.
    """
    known = _Known(profile, base)
    scan_KS = _scan(known, rays, levels_C[-1], scan_S)
    above_KCS = ~(scan_KS[:, None, :] <= levels_C[:, None])
    crossed_KC = above_KCS.any(2)
    first_KC = np.where(crossed_KC, above_KCS.argmax(2), len(scan_S))
    edges = np.concatenate([[0.0], scan_S])
    radius_KC, loss_KC = edges[first_KC], np.take_along_axis(_with_base(scan_KS, base), first_KC, 1)
    status_KC = np.where(crossed_KC, "ok", "censored").astype(object)
    pairs = np.argwhere(crossed_KC)
    if len(pairs):
        ray_M, level_M = pairs[:, 0], levels_C[pairs[:, 1]]
        lower_M = radius_KC[tuple(pairs.T)]
        upper_M = edges[first_KC[tuple(pairs.T)] + 1]
        inside_M, loss_M, good_M = _close_in(known, ray_M, level_M, lower_M, upper_M, rtol)
        radius_KC[tuple(pairs.T)], loss_KC[tuple(pairs.T)] = inside_M, loss_M
        status_KC[tuple(pairs[~good_M].T)] = "not_converged"
    return Crossings(radius_KC, loss_KC, status_KC, scan_KS, known.evaluations)


def joined(parts: list[Crossings]) -> Crossings:
    """The rays of several blocks as one."""
    return Crossings(
        radius_KC=np.concatenate([part.radius_KC for part in parts]),
        loss_KC=np.concatenate([part.loss_KC for part in parts]),
        status_KC=np.concatenate([part.status_KC for part in parts]),
        scan_KS=np.concatenate([part.scan_KS for part in parts]),
        evaluations=sum(part.evaluations for part in parts),
    )


class _Known:
    """The profile with a memory, so that no point is evaluated twice."""

    def __init__(self, profile: Profile, base: float) -> None:
        self.profile, self.base = profile, base
        self.losses: dict[tuple[int, float], float] = {}

    def __call__(self, radius_M: np.ndarray, ray_M: np.ndarray) -> np.ndarray:
        places = list(zip(ray_M.astype(int).tolist(), radius_M.tolist(), strict=True))
        new = sorted({p for p in places if p[1] > 0 and p not in self.losses})
        if new:
            ray, radius = (np.array(column) for column in zip(*new, strict=True))
            losses = np.nan_to_num(self.profile(radius, ray), nan=np.inf, posinf=np.inf)
            self.losses |= dict(zip(new, losses.tolist(), strict=True))
        return np.array([self.losses[p] if p[1] > 0 else self.base for p in places])

    @property
    def evaluations(self) -> int:
        return len(self.losses)


def _scan(known: _Known, rays: int, highest: float, scan_S: np.ndarray) -> np.ndarray:
    scan_KS = np.full((rays, len(scan_S)), np.nan)
    active = np.arange(rays)
    for s, radius in enumerate(scan_S):
        scan_KS[active, s] = known(np.full(len(active), radius), active)
        active = active[scan_KS[active, s] <= highest]
        if not len(active):
            break
    return scan_KS


def _with_base(scan_KS: np.ndarray, base: float) -> np.ndarray:
    return np.concatenate([np.full((len(scan_KS), 1), base), scan_KS], axis=1)


def _close_in(known, ray_M, level_M, lower_M, upper_M, rtol):
    """Shrink brackets with loss ≤ level < loss; returns inner ends, losses there, and which are narrow.

    Works on ln(rise/wall) against ln r, which is nearly a straight line, so that few losses suffice.
    """
    wall_M = level_M - known.base
    lower_M = _descend(known, ray_M, level_M, lower_M, upper_M)

    def log_excess(log_radius, ray, wall):
        rise = np.clip(known(np.exp(log_radius), ray) - known.base, 1e-30, 1e30)
        return np.log(rise / wall)

    brackets = np.log(lower_M), np.log(upper_M)
    found = find_root(
        log_excess, brackets, args=(ray_M.astype(float), wall_M), tolerances={"xatol": rtol / 2, "xrtol": 0.0}
    )
    ends_2M, excess_2M = np.stack(found.bracket), np.stack(found.f_bracket)
    inner = np.where(excess_2M <= 0, ends_2M, -np.inf).argmax(0)
    inside_M = np.take_along_axis(ends_2M, inner[None], 0)[0]
    # An exact hit ends the search early, whatever the width of the bracket.
    exact_M = found.f_x == 0
    inside_M = np.exp(np.where(exact_M, found.x, inside_M))
    narrow_M = exact_M | (np.abs(ends_2M[1] - ends_2M[0]) <= 4 * rtol)
    return inside_M, known(inside_M, ray_M), narrow_M


def _descend(known, ray_M, level_M, lower_M, upper_M):
    """Lower ends above 0: where the first point of the scan is outside, go inwards to a point inside."""
    outside = lower_M == 0
    lower_M = np.where(outside, upper_M, lower_M)
    for _ in range(60):
        if not outside.any():
            break
        lower_M[outside] /= 8
        outside[outside] = known(lower_M[outside], ray_M[outside]) > level_M[outside]
    return lower_M
