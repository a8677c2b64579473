import numpy as np
import pytest

from gensweep.geometry.radius import first_crossings

SCAN = np.geomspace(1e-3, 10, 37)
SPACING = np.log(SCAN[1] / SCAN[0])


class Recorder:
    """Remembers every point that the search evaluated."""

    def __init__(self, profile):
        self.profile, self.seen = profile, []

    def __call__(self, radius, ray):
        losses = self.profile(radius, ray)
        self.seen += list(zip(ray.tolist(), radius.tolist(), losses.tolist(), strict=True))
        return losses


def cross(profile, rays, levels, base=0.0, rtol=1e-8):
    return first_crossings(profile, rays, base, np.asarray(levels, float), SCAN, rtol)


def test_power_laws_are_solved_exactly():
    rng = np.random.default_rng(0)
    size, power = rng.uniform(0.01, 5, 500), rng.uniform(0.5, 6, 500)
    found = cross(lambda r, k: (r / size[k]) ** power[k], 500, [0.3, 1.0])
    expected = size[:, None] * np.array([0.3, 1.0]) ** (1 / power[:, None])
    inside = expected < SCAN[-1]
    assert inside.sum() > 900
    np.testing.assert_allclose(found.radius_KC[inside], expected[inside], rtol=2e-8)
    assert (found.status_KC[inside] == "ok").all()
    assert (found.status_KC[~inside] == "censored").all()
    assert (found.radius_KC[~inside] == SCAN[-1]).all()


def bumpy(seed, rays):
    rng = np.random.default_rng(seed)
    height, power = rng.uniform(0.05, 3, rays), rng.uniform(0.3, 3, rays)
    depth, pitch, phase = rng.uniform(0, 1.5, rays), rng.uniform(1, 9, rays), rng.uniform(0, 7, rays)

    def profile(r, k):
        wave = 1 + depth[k] * np.sin(pitch[k] * np.log(r) + phase[k])
        return height[k] * r ** power[k] * wave

    return profile


@pytest.mark.parametrize("seed", range(4))
def test_first_crossing_of_thousands_of_bumpy_rays(seed):
    """No evaluated point below the radius is outside; an excursion missed is narrower than the scan."""
    rays, level = 1000, 0.4
    recorder = Recorder(bumpy(seed, rays))
    found = cross(recorder, rays, [level])
    radius = found.radius_KC[:, 0]
    assert all(loss <= level for ray, r, loss in recorder.seen if r <= radius[ray])
    np.testing.assert_array_less(found.loss_KC[:, 0], level + 1e-12)
    dense = np.geomspace(SCAN[0], SCAN[-1], 4000)
    outside = recorder.profile(dense[None], np.arange(rays)[:, None]) > level
    non_monotone = missed = 0
    for ray in range(rays):
        non_monotone += (np.diff(outside[ray].astype(int)) < 0).any()
        before = outside[ray] & (dense < radius[ray] * (1 - 1e-6))
        if before.any():
            missed += 1
            edges = np.diff(np.concatenate([[0], before.astype(int), [0]]))
            widths = np.log(dense[np.flatnonzero(edges < 0) - 1] / dense[np.flatnonzero(edges > 0)])
            assert widths.max() < SPACING
    assert non_monotone > 100  # the profiles are worth the name
    assert missed < 0.05 * rays


def test_radius_below_the_first_scan_point():
    found = cross(lambda r, k: (r / 2e-6) ** 2, 1, [1.0])
    assert found.radius_KC[0, 0] == pytest.approx(2e-6, rel=1e-7)
    assert found.status_KC[0, 0] == "ok"


def test_flat_ray_is_censored_not_dropped():
    found = cross(lambda r, k: 0.0 * r, 3, [0.1])
    assert (found.status_KC == "censored").all()
    assert (found.radius_KC == SCAN[-1]).all()


@pytest.mark.parametrize("wall", [np.inf, np.nan])
def test_undefined_loss_is_a_wall(wall):
    found = cross(lambda r, k: np.where(r < 0.7, r, wall), 1, [5.0], rtol=1e-6)
    assert found.radius_KC[0, 0] == pytest.approx(0.7, rel=1e-5)
    assert np.isfinite(found.loss_KC).all()


def test_levels_share_the_scan():
    recorder = Recorder(lambda r, k: r**2)
    one = cross(recorder, 1, [1.0]).evaluations
    four = cross(recorder, 1, [0.25, 0.5, 0.75, 1.0]).evaluations
    assert len({(ray, r) for ray, r, _ in recorder.seen[one:]}) == len(recorder.seen) - one  # none twice
    assert four < 4 * one / 1.5


def test_levels_count_from_the_base():
    found = cross(lambda r, k: 3.0 + r, 1, [3.5], base=3.0)
    assert found.radius_KC[0, 0] == pytest.approx(0.5, rel=1e-7)


def rough(size, noise):
    """(r/size)² with a noise that a change of r by a part in 10⁹ draws anew."""

    def profile(radius, ray):
        phase = 1e4 * np.sin(radius / size[ray] * 1e9)
        return (radius / size[ray]) ** 2 + noise * np.sin(phase + 1e7 * radius)

    return profile


@pytest.mark.parametrize("rtol", [1e-4, 1e-9, 1e-12])
def test_the_crossing_lies_within_the_width(rtol):
    size = np.geomspace(0.01, 5, 200)
    found = cross(lambda r, k: (r / size[k]) ** 2, 200, [0.5], rtol=rtol)
    inside, exact = found.radius_KC[:, 0], size * np.sqrt(0.5)
    assert (inside <= exact * (1 + 1e-15)).all()
    assert (exact <= (inside + found.width_KC[:, 0]) * (1 + 1e-15)).all()
    assert (found.width_KC[:, 0] <= rtol * inside).all()
    assert (found.status_KC == "ok").all()


def test_a_loss_too_coarse_for_the_tolerance_says_by_how_much():
    """Noise of amplitude 1e-6 on a loss of slope 2 per ln r at 1: radii are known to about 5e-7."""
    size = np.geomspace(0.1, 3, 300)
    found = cross(rough(size, 1e-6), 300, [1.0], rtol=1e-10)
    relative = found.width_KC[:, 0] / found.radius_KC[:, 0]
    off = np.abs(found.radius_KC[:, 0] / size - 1)
    assert (found.status_KC == "not_converged").mean() > 0.95
    assert 0.5 < np.median(relative) / np.median(off) < 6
    assert (off < 2 * relative).mean() > 0.8
    coarse = cross(rough(size, 1e-6), 300, [1.0], rtol=1e-5)
    assert (coarse.status_KC == "ok").all()


def test_a_wall_of_infinite_height_is_sharp():
    found = cross(lambda r, k: np.where(r < 0.7, r, np.inf), 1, [5.0], rtol=1e-9)
    assert found.status_KC[0, 0] == "ok"
    assert found.width_KC[0, 0] <= 1e-9


def test_a_censored_ray_has_no_width_and_an_exact_hit_has_one():
    found = cross(lambda r, k: np.where(k == 0, 0.0 * r, (r / SCAN[20]) ** 2), 2, [1.0])
    assert np.isnan(found.width_KC[0, 0])
    assert found.radius_KC[1, 0] == pytest.approx(SCAN[20])
    assert 0 < found.width_KC[1, 0] <= 1e-8 * SCAN[20]


def smooth(rays, seed=0):
    """Rays as those of networks: a power of r that changes on the way, up to a plateau."""
    rng = np.random.default_rng(seed)
    size, cubic, top = rng.uniform(0.02, 2, rays), rng.uniform(0, 2, rays), rng.uniform(3, 30, rays)

    def profile(radius, ray):
        z = radius / size[ray]
        bowl = z**2 + cubic[ray] * z**3
        return top[ray] * bowl / (top[ray] + bowl)

    return profile


@pytest.mark.parametrize(("rtol", "most"), [(1e-6, 3.4), (1e-8, 3.8), (1e-2, 2.1)])
def test_a_crossing_of_a_smooth_ray_costs_few_losses(rtol, most):
    found = cross(smooth(200), 200, [0.1, 0.5, 1.0, 2.0], rtol=rtol)
    assert (found.status_KC == "ok").all()
    closing = found.evaluations - np.isfinite(found.scan_KS).sum()
    assert closing / found.status_KC.size < most


def test_the_scan_leaps_where_nothing_happens_and_nowhere_else():
    profile = smooth(200)
    found = cross(profile, 200, [0.1, 2.0])
    loss_KS = profile(SCAN[None], np.arange(200)[:, None])
    before_the_end = np.cumsum(loss_KS > 2.0, axis=1) < 1
    leapt = before_the_end & np.isnan(found.scan_KS)
    assert leapt.sum() > 0.3 * before_the_end.sum()
    assert loss_KS[leapt].max() < 0.1 * 0.1
    assert not leapt[:, 0].any()
    assert not (leapt[:, :-4] & leapt[:, 1:-3] & leapt[:, 2:-2] & leapt[:, 3:-1] & leapt[:, 4:]).any()
    np.testing.assert_array_equal(found.scan_KS[~np.isnan(found.scan_KS)], loss_KS[~np.isnan(found.scan_KS)])


def test_no_leap_once_the_loss_has_changed_even_where_it_is_back():
    """Down by a tenth of the wall, back, up: the scan does not take the way back for a beginning."""
    found = cross(lambda r, k: r**2 - 0.6 * np.sqrt(0.1) * r * (r > 0.02), 1, [0.1])
    walked = np.isfinite(found.scan_KS[0])
    assert walked[(SCAN > 0.09) & (SCAN < 0.4)].all()


def test_every_point_below_a_radius_is_inside_whichever_level_asked_for_it():
    recorder = Recorder(bumpy(0, 300))
    levels = np.array([0.2, 0.4, 0.45, 0.8])
    found = cross(recorder, 300, levels)
    ray, radius, loss = np.array(recorder.seen).T
    below = radius[:, None] <= found.radius_KC[ray.astype(int)]
    assert (loss[:, None] <= levels)[below].all()
    assert (np.diff(found.radius_KC, axis=1) >= 0).all()


def test_all_rays_and_levels_go_together():
    """So that whoever evaluates many places at once gets many."""
    calls = []

    def profile(radius, ray):
        calls.append(len(radius))
        return smooth(200)(radius, ray)

    cross(profile, 200, [0.1, 0.5, 1.0, 2.0])
    assert len(calls) < len(SCAN) + 10


def test_a_wall_of_finite_height_is_as_sharp():
    levels = [0.25, 1.0, 2.0]
    found = cross(lambda r, k: np.where(r < 0.7, 0.1 * r, 5 + r), 1, levels, rtol=1e-7)
    assert (found.status_KC == "ok").all()
    assert (np.abs(found.radius_KC / 0.7 - 1) < 2e-7).all()
    assert found.evaluations < np.isfinite(found.scan_KS).sum() + 2 * np.log2(SPACING / 1e-7)


def test_a_crossing_on_a_point_of_the_scan_is_no_looser_than_others():
    found = first_crossings(
        lambda r, k: r, 1, 0.0, np.array([0.1, 1.0]), np.array([0.01, 0.1, 1.0, 10.0]), 1e-7
    )
    assert found.radius_KC[0] == pytest.approx([0.1, 1.0])
    assert (found.width_KC[0] <= 1e-7 * found.radius_KC[0]).all()


def test_the_search_ends_where_rounding_has_the_say():
    """Bisecting down to 1e-12 would take twenty more."""
    size = np.geomspace(0.1, 3, 300)
    found = cross(rough(size, 1e-6), 300, [1.0], rtol=1e-12)
    assert (found.status_KC == "not_converged").mean() > 0.95
    assert found.evaluations - np.isfinite(found.scan_KS).sum() < 5 * 300


@pytest.mark.parametrize(("noise", "most"), [(4e-8, 2.1), (1.2e-7, 2.55)])
def test_rounding_of_the_size_of_the_tolerance_is_stepped_over(noise, most):
    """Of its own the power law costs two; a radius is known to half the noise."""
    size = np.geomspace(0.1, 3, 300)
    found = cross(rough(size, noise), 300, [1.0], rtol=1e-7)
    assert found.evaluations - np.isfinite(found.scan_KS).sum() < most * 300


HARD = {
    "a kink below the level": lambda r, at: np.where(r < at, 0.9 * r / at, 0.9 + 400 * (r - at)),
    "a shelf below the level": lambda r, at: np.where(r < at, 1 - 1e-6 * (at - r), 1.001 + r),
    "a saddle on the level": lambda r, at: 1 + (r - at) ** 5,
    "a step": lambda r, at: 1 + np.arctan(1e4 * (r - at)),
}


@pytest.mark.parametrize("kind", HARD)
def test_what_cannot_be_foretold_costs_little_more_than_bisection(kind):
    at = np.random.default_rng(0).uniform(0.3, 3, 400)
    found = cross(lambda r, k: HARD[kind](r, at[k]), 400, [1.0], rtol=1e-7)
    assert (found.status_KC == "ok").mean() > 0.9
    assert found.evaluations - np.isfinite(found.scan_KS).sum() < 1.3 * np.log2(SPACING / 1e-7) * 400
    exact = {"a kink below the level": at + 0.1 / 400}.get(kind, at)
    assert np.abs(found.radius_KC[:, 0] / exact - 1).max() < (
        3e-3 if "saddle" in kind else 1.1e-7
    )  # 1 + 1e-16 is 1


def test_a_ray_does_not_depend_on_the_others():
    profile = smooth(20)
    whole = cross(profile, 20, [0.1, 2.0])
    alone = cross(lambda r, k: profile(r, k + 7), 1, [0.1, 2.0])
    np.testing.assert_array_equal(alone.radius_KC[0], whole.radius_KC[7])
    np.testing.assert_array_equal(alone.scan_KS[0], whole.scan_KS[7])
