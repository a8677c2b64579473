"""Where a ray crosses a level, told by the points of it that are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

POINTS = 6  # tell where a crossing lies: the nearest in height of …
AROUND = 16  # … those around it along the ray, many of which may be too near to count
HIGHEST = 1e30  # nats: a rise above this counts as infinite
FLATTEST = np.log(1e-3)  # rise over wall where a slope begins, at least
NEAR = 0.01  # points whose ln(rise/wall) differ by less may differ by rounding alone


@dataclass(frozen=True)
class Brackets:
    """Where M crossings lie for certain, and the points that tell where in there.

    Points that rounding may have put in the wrong order are no guide: of those within ``NEAR`` of the one
    nearest to the level, only that one counts. Neither does the beginning of a ray, nor an infinite loss.

    Args:
        inner_M: A point inside the level.
        outer_M: The next known point, which is outside; infinite where the ray does not cross.
        loss_M: The loss at the inner end, nats.
        jump_M: From end to end in ln(rise/wall).
        log_radius_MN: ln r of the points around, the nearest to the level first.
        excess_MN: Their ln(rise/wall); infinite for one that does not count.
    """

    inner_M: np.ndarray
    outer_M: np.ndarray
    loss_M: np.ndarray
    jump_M: np.ndarray
    log_radius_MN: np.ndarray
    excess_MN: np.ndarray

    @property
    def span_M(self) -> np.ndarray:
        """From end to end."""
        return self.outer_M - self.inner_M

    @property
    def width_M(self) -> np.ndarray:
        """How far beyond the inner end the crossing may lie: the span, or more where rounding jumps."""
        with np.errstate(all="ignore"):
            rise_M = np.maximum(self.excess_MN[:, 1], FLATTEST) - self.excess_MN[:, 0]
            slope_M = rise_M / (self.log_radius_MN[:, 1] - self.log_radius_MN[:, 0])
            blur_M = self.inner_M * self.jump_M / slope_M
            return np.where((self.jump_M < NEAR) & (blur_M > 2 * self.span_M), blur_M, self.span_M)

    def open_M(self, rtol: float) -> np.ndarray:
        """Which may yet become narrower: wider than the tolerance, and not by rounding."""
        return (self.span_M > rtol * self.inner_M) & (self.width_M == self.span_M) & np.isfinite(self.outer_M)

    def foretold(self) -> tuple[np.ndarray, np.ndarray]:
        """The radius at the level, by the polynomial of degree 1 to 5 that changes it least; its error."""
        x_MN, y_MN = self.log_radius_MN, self.excess_MN
        best_M, error_M = np.full(len(x_MN), np.nan), np.full(len(x_MN), np.inf)
        p_MN = x_MN
        with np.errstate(all="ignore"):
            for degree in range(1, x_MN.shape[1]):
                before_M, y_far, y_near = p_MN[:, 0], y_MN[:, degree:], y_MN[:, :-degree]
                p_MN = (y_far * p_MN[:, :-1] - y_near * p_MN[:, 1:]) / (y_far - y_near)
                change_M = np.abs(p_MN[:, 0] - before_M)
                best_M = np.where(change_M < error_M, p_MN[:, 0], best_M)
                error_M = np.fmin(change_M, error_M)
            return np.exp(best_M), np.exp(best_M) * error_M


def brackets(radius_MN: np.ndarray, loss_MN: np.ndarray, base: float, level_M: np.ndarray) -> Brackets:
    """The crossings between points N/2 and N/2 + 1 of N.

    Args:
        radius_MN: Ascending; 0 where the ray begins and before, infinite beyond its last point.
        loss_MN: There, nats; infinite beyond the last point.
        base: Loss at radius 0, nats.
        level_M: The level of each crossing, nats.
    """
    outer = radius_MN.shape[1] // 2
    rise_MN = np.clip(loss_MN - base, 1e-30, HIGHEST)
    excess_MN = np.log(rise_MN / (level_M - base)[:, None])
    jump_M = excess_MN[:, outer] - excess_MN[:, outer - 1]
    excess_MN[(radius_MN == 0) | (rise_MN == HIGHEST)] = np.inf
    nearest_M1 = np.abs(excess_MN).argmin(1)[:, None]
    with np.errstate(invalid="ignore"):
        near_MN = np.abs(excess_MN - np.take_along_axis(excess_MN, nearest_M1, 1)) < NEAR
    np.put_along_axis(near_MN, nearest_M1, False, 1)
    excess_MN[near_MN] = np.inf
    order_MN = np.abs(excess_MN).argsort(1)[:, :POINTS]
    with np.errstate(divide="ignore"):
        log_radius_MN = np.take_along_axis(np.log(radius_MN), order_MN, 1)
    excess_MN = np.take_along_axis(excess_MN, order_MN, 1)
    ends = radius_MN[:, outer - 1], radius_MN[:, outer], loss_MN[:, outer - 1]
    return Brackets(*ends, jump_M, log_radius_MN, excess_MN)


class Proposals:
    """Where to evaluate next, round by round, so that every bracket closes.

    A point is put where the crossing is foretold and a quarter of the tolerance beyond, seen from the nearer
    end of the bracket: it lands on the other side, and the next one closes in from here. While foretold
    points come no closer to an end, the next are put 4, 256, 4⁹ times as far beyond, up to the middle:
    rounding is stepped over, and what no polynomial foretells is bisected.

    Args:
        rtol: Tolerance relative to the radius.
    """

    def __init__(self, rtol: float) -> None:
        self.rtol = rtol
        self.gap_M: np.ndarray = np.array(np.inf)
        self.failures_M: np.ndarray = np.array(0)

    def __call__(self, now: Brackets) -> np.ndarray:
        """The next point in each bracket, (M,)."""
        with np.errstate(all="ignore"):
            middle_M = np.sqrt(np.maximum(now.inner_M, now.outer_M / 64) * now.outer_M)
            foretold_M, error_M = now.foretold()
            lost_M = ~(np.abs(foretold_M - (now.inner_M + now.outer_M) / 2) < 0.6 * now.span_M)
            foretold_M = np.where(lost_M, middle_M, np.clip(foretold_M, now.inner_M, now.outer_M))
            low_M = foretold_M - now.inner_M < now.outer_M - foretold_M
            gap_M = np.where(low_M, foretold_M - now.inner_M, now.outer_M - foretold_M)
            step_M = np.where(gap_M >= self.gap_M / 4, 1, -1)
            self.failures_M = np.maximum(self.failures_M + step_M, 0)
            self.gap_M = gap_M
            tolerance_M = self.rtol * now.inner_M
            leap_M = gap_M + np.fmax(tolerance_M / 4, error_M) * 4.0 ** (self.failures_M**2)
            # From an end as near as this the bracket can close at once.
            leap_M = np.where(gap_M < 0.7 * tolerance_M, np.maximum(leap_M, 0.95 * tolerance_M), leap_M)
            half_M = np.where(low_M, middle_M - now.inner_M, now.outer_M - middle_M)
            leap_M = np.where(lost_M, half_M, np.minimum(leap_M, half_M))
            return np.where(low_M, now.inner_M + leap_M, now.outer_M - leap_M)
