"""How far along a ray until the loss first crosses a cutoff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize.elementwise import find_root

HIGHEST = 1e30  # nats: a rise above this counts as infinite
FLATTEST = np.log(1e-3)  # rise over wall where a slope begins, at least

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
        scan_KS: Loss at the scan's radii, nats; NaN beyond the highest level.
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

    The levels share the scan; a ray is left as soon as it has crossed the highest. Inside the first
    scan interval that holds a crossing, Chandrupatla's method keeps one evaluated point on either side.

    Args:
        profile: The loss along the rays; NaN and infinity count as above every level.
        rays: Number of rays K.
        base: Loss at radius 0, at most the lowest level, nats.
        levels_C: Heights to cross, nats, ascending.
        scan_S: Radii of the scan, ascending, above 0.
        rtol: Width of the final bracket relative to the radius; a volume in n dimensions asks for 0.01/n.

    Error: The crossing lies within ``width_KC`` beyond the radius. That is the final bracket, or more where
    the loss jumps over the bracket by more than its slope explains: then it is rounding that crosses the
    level, and the jump over the slope is the width. An excursion above the level that begins and ends
    between two neighbouring scan points goes unseen.

    Source: Chandrupatla 1997, as in `scipy.optimize.elementwise`.
    """
    known = _Known(profile, base)
    scan_KS = _scan(known, rays, levels_C[-1], scan_S)
    above_KCS = ~(scan_KS[:, None, :] <= levels_C[:, None])
    crossed_KC = np.asarray(above_KCS.any(2))
    first_KC = np.where(crossed_KC, above_KCS.argmax(2), len(scan_S))
    edges = np.concatenate([[0.0], scan_S])
    radius_KC, loss_KC = edges[first_KC], np.take_along_axis(_with_base(scan_KS, base), first_KC, 1)
    status_KC = np.where(crossed_KC, "ok", "censored").astype(object)
    width_KC = np.full(radius_KC.shape, np.nan)
    for c, level in enumerate(levels_C):
        ray_M = np.flatnonzero(crossed_KC[:, c])
        if len(ray_M):
            lower_M, upper_M = radius_KC[ray_M, c], edges[first_KC[ray_M, c] + 1]
            inside_M, width_M = _close_in(known, ray_M, level, lower_M, upper_M, rtol)
            radius_KC[ray_M, c], width_KC[ray_M, c] = inside_M, width_M
            loss_KC[ray_M, c] = known(inside_M, ray_M)
            status_KC[ray_M[width_M > rtol * inside_M], c] = "not_converged"
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


def _close_in(known, ray_M, level, lower_M, upper_M, rtol):
    """Shrink brackets with loss ≤ level < loss; returns inner ends, and how far the crossing may lie beyond.

    Works on ln(rise/wall) against ln r, which is nearly a straight line, so that few losses suffice.
    """
    lower_M = _descend(known, ray_M, level, lower_M, upper_M)

    def log_excess(log_radius, ray):
        rise = np.clip(known(np.exp(log_radius), ray) - known.base, 1e-30, HIGHEST)
        excess = np.log(rise / (level - known.base))
        return np.where(excess == 0, -1e-16, excess)  # on the level is inside, and the search goes on

    brackets = np.log(lower_M), np.log(upper_M)
    found = find_root(
        log_excess, brackets, args=(ray_M.astype(float),), tolerances={"xatol": rtol / 2, "xrtol": 0.0}
    )
    start_M, end_M = (log_excess(end, ray_M) for end in brackets)
    slope_M = (end_M - np.maximum(start_M, FLATTEST)) / (brackets[1] - brackets[0])
    (inner_M, outer_M), (below_M, above_M) = found.bracket, found.f_bracket
    # An infinite loss is a wall, and stands where it stands.
    jump_M = np.where(np.exp(above_M) * (level - known.base) < HIGHEST / 2, above_M - below_M, 0.0)
    blur_M = np.maximum(outer_M - inner_M, jump_M / slope_M)
    return np.exp(inner_M), np.exp(inner_M) * np.expm1(blur_M)


def _descend(known, ray_M, level, lower_M, upper_M):
    """Lower ends above 0: where the first point of the scan is outside, go inwards to a point inside."""
    outside = lower_M == 0
    lower_M = np.where(outside, upper_M, lower_M)
    for _ in range(60):
        if not outside.any():
            break
        lower_M[outside] /= 8
        outside[outside] = known(lower_M[outside], ray_M[outside]) > level
    return lower_M
