import math

import numpy as np
import pytest
import torch

from gensweep.geometry.langevin import Posterior, chain, move, pilot, split_r_hat
from gensweep.known import Bowl
from gensweep.rng import Stream

H = [4.0, 1.0, 2.0]


def posterior(heat=3.0, gamma=2.0):
    return Posterior(Bowl(H, 0.3), torch.zeros(3, dtype=torch.float64), heat, gamma)


@pytest.mark.parametrize("step", [0.05, 0.15, 0.4])
def test_the_density_is_right_at_any_step(step):
    """Every coordinate is Gaussian with variance 1/(nβ·h + γ), also where most moves are rejected."""
    density, random = posterior(), np.random.Generator(np.random.Philox(1))
    state, states, chances = density.at(torch.zeros(3).double()), [], []
    for _ in range(8_000):
        state, chance = move(density, state, step, random)
        states.append(state)
        chances.append(chance)
    exact = 1 / (3 * torch.tensor(H) + 2)
    variance = torch.stack([s.place for s in states[100:]]).square().mean(0)
    assert torch.allclose(variance / exact.double(), torch.ones(3).double(), atol=0.15)
    assert np.mean([s.share for s in states[100:]]) == pytest.approx(1, abs=0.1)
    assert np.mean(chances) < {0.05: 1.0, 0.15: 0.97, 0.4: 0.6}[step]


def test_a_move_in_detail_is_reversible():
    """π(a)·q(b|a)·chance(a→b) = π(b)·q(a|b)·chance(b→a), with the proposal density written out."""
    density, step = posterior(), 0.2

    def log_flow(a, b):
        mean = a.place - step / 2 * a.slope
        return -a.energy - ((b.place - mean) ** 2).sum().item() / (2 * step)

    a = density.at(torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64))
    noise = torch.from_numpy(Stream(0).generator().standard_normal(3))
    b = density.at(a.place - step / 2 * a.slope + math.sqrt(step) * noise)
    _, chance = move(density, a, step, Stream(0).generator())
    assert chance == pytest.approx(min(1.0, math.exp(log_flow(b, a) - log_flow(a, b))), rel=1e-10)


def test_the_pilot_finds_a_step_that_accepts_as_asked():
    state, step = pilot(posterior(), Stream(0))
    run = chain(posterior(), state, step, 1000, Stream(1))
    assert 0.45 < run.acceptance < 0.8
    assert len(run.losses) == len(run.shares) == 500


def test_a_place_of_no_finite_loss_is_never_entered():
    class Cliff(Bowl):
        def grad(self, theta_P):
            value, slope = super().grad(theta_P)
            return (math.nan if theta_P[0] > 0.1 else value), slope

    density = Posterior(Cliff(H), torch.zeros(3, dtype=torch.float64), 3.0, 2.0)
    run = chain(density, density.at(torch.zeros(3).double()), 0.1, 400, Stream(0))
    assert np.isfinite(run.losses).all()
    assert 0 < run.acceptance < 1


def test_r_hat_of_good_and_of_bad_chains():
    noise = np.random.Generator(np.random.Philox(0)).standard_normal((4, 500))
    assert split_r_hat(noise) == pytest.approx(1, abs=0.02)
    assert split_r_hat(noise + np.array([[0], [0], [0], [3]])) > 1.5
    assert split_r_hat(noise + np.linspace(0, 4, 500)) > 1.3  # all drift together: halves differ
    assert split_r_hat(np.zeros((4, 10))) == 1
    assert math.isnan(split_r_hat(np.zeros((4, 3))))
    assert split_r_hat(np.ones((4, 10)) * np.arange(4)[:, None]) == math.inf
