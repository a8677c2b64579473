from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch
from scipy.stats import chi2, norm, t

from gensweep.geometry import local_volume
from gensweep.geometry.local_volume import Splitting, gaussian_masses
from gensweep.rng import Stream

LN10 = np.log(10)
USUAL = Splitting(particles=50, moves=10, replicates=3)


def masses(curvature, walls, seed=0, settings=USUAL):
    """The masses below the walls of L = ½ Σ h z², and how many losses they took."""
    h, spent = torch.tensor(curvature, dtype=torch.float64), []

    def rise(z_NP):
        spent.append(len(z_NP))
        return (0.5 * (h * z_NP**2).sum(1)).numpy()

    return gaussian_masses(rise, torch.zeros_like(h), np.array(walls), Stream(seed), settings), sum(spent)


def pairs_log10(curvature, wall):
    """Exact for curvatures in pairs: ½h(z₁² + z₂²) is exponential, and their sum has a closed form."""
    getcontext().prec = 80
    h = [Decimal(c) for c in curvature]
    total = Decimal(1)
    for j, a in enumerate(h):
        weight = Decimal(1)
        for k, b in enumerate(h):
            weight *= a / (a - b) if k != j else 1
        total -= weight * (-Decimal(wall) / a).exp()
    return float(total.log10())


def test_the_closed_form_is_the_distribution():
    assert pairs_log10([1.0, 1.0000001], 3.0) == pytest.approx(chi2.logcdf(6.0, 4) / LN10, rel=1e-6)


@pytest.mark.parametrize("n", [2, 30, 1000])
def test_round_bowls_down_to_one_in_ten_thousand_million(n):
    walls = [chi2.ppf(p, n) / 2 for p in (1e-10, 1e-5, 0.03, 0.5)]
    found, spent = masses([1.0] * n, walls)
    for mass, expected in zip(found, (-10, -5, np.log10(0.03), np.log10(0.5)), strict=True):
        assert mass.doubt == "" or n == 1000  # there, 10 moves are few, and two seeds of three say so
        assert abs(mass.log10 - expected) < max(4 * mass.stderr, 0.6 if expected == -10 else 0.3)
        assert 0 < mass.stderr < 0.5
    assert found[3].stderr == pytest.approx(np.sqrt(0.5 / 0.5 / 1000) / LN10, rel=0.1)
    assert spent < 110_000


def test_stretched_bowl():
    curvature = np.geomspace(1, 1000, 10).tolist()
    for wall, seed in ((20.0, 0), (200.0, 1)):
        (mass,), _ = masses(np.repeat(curvature, 2).tolist(), [wall], seed)
        expected = pairs_log10(curvature, wall)
        assert expected < -3
        assert abs(mass.log10 - expected) < 0.6
        assert mass.doubt == ""


def test_the_probability_is_unbiased():
    """Mean over 120 seeds of the estimate over the truth, 10⁻⁴, with few moves."""
    wall = chi2.ppf(1e-4, 10) / 2
    settings = Splitting(particles=50, moves=3, replicates=2)
    ratio = np.array([10 ** (masses([1.0] * 10, [wall], s, settings)[0][0].log10 + 4) for s in range(120)])
    assert abs(ratio.mean() - 1) < 3 * ratio.std(ddof=1) / np.sqrt(120) < 0.3


def test_doubts_are_seldom_false_alarms():
    """Two means of three differ by more than 2 standard deviations of one in 7 % of the cases."""
    wall = chi2.ppf(1e-4, 10) / 2
    found = [masses([1.0] * 10, [wall], s, Splitting(50, 4, 3))[0][0] for s in range(60)]
    assert np.mean([m.doubt != "" for m in found]) < 0.25


def test_one_descent_serves_all_walls():
    wall = chi2.ppf(1e-6, 20) / 2
    _, alone = masses([1.0] * 20, [wall])
    _, several = masses([1.0] * 20, [wall, 1.2 * wall, 1.5 * wall, 50.0])
    assert several == alone


def test_a_wall_that_is_not_reached_is_an_upper_bound():
    wall = chi2.ppf(1e-60, 200) / 2
    (mass,), _ = masses([1.0] * 200, [wall], settings=Splitting(20, 2, 2))
    assert "upper bound" in mass.doubt
    assert -60 < mass.log10 < -15


def test_a_plateau_above_the_wall_ends_at_once():
    flat = gaussian_masses(
        lambda z: np.full(len(z), np.inf), torch.zeros(3), np.array([1.0]), Stream(0), USUAL
    )
    assert "upper bound" in flat[0].doubt
    assert flat[0].log10 == 0


@pytest.mark.parametrize(("shift", "doubted"), [(0.3, False), (0.5, True), (-0.5, True)])
def test_sets_that_differ_by_more_than_two_standard_deviations_raise_a_doubt(monkeypatch, shift, doubted):
    """Each set spreads by a standard deviation of 0.2 orders around its own middle."""

    def descend(rise, like_P, walls_C, rng, particles, moves):
        log10 = -9.0 + 0.2 * (rng.path[-1] - 1) + (shift if moves == 20 else 0.0)
        return np.array([[log10 * LN10], [1.0]])

    monkeypatch.setattr(local_volume, "_descend", descend)
    (mass,), _ = masses([1.0] * 10, [1e-9])
    twice = -9.0 + shift + np.array([-0.2, 0.0, 0.2])
    assert mass.log10 == pytest.approx(np.log10(np.mean(10**twice)))
    assert mass.stderr == pytest.approx(t.ppf(norm.cdf(1), 4) * 0.2 / np.sqrt(3))
    assert ("moves" in mass.doubt) == doubted


def test_a_single_replicate_cannot_vouch_for_itself():
    (mass,), _ = masses([1.0] * 10, [chi2.ppf(1e-4, 10) / 2], settings=Splitting(50, 5, 1))
    assert np.isnan(mass.stderr)
    assert mass.doubt
