import math

import numpy as np
import pytest
import torch

from gensweep.geometry.risk import Risk
from gensweep.known import Bowl
from gensweep.measures.perturbation import Perturbation
from gensweep.rng import Stream
from gensweep.rows import checked

H = [1.0, 5.0, 2.0, 9.0]
CENTRE = torch.tensor([1.0, -2.0, 0.0, 3.0], dtype=torch.float64)


def rows_of(loss, theta, seed=0, **settings):
    rows = checked("perturbation", Perturbation(**settings).alter(loss, theta, Stream(seed)))
    return {(r.quantity, r.x, r.index): r for r in rows}


EXACT = {  # ½ σ² tr H, and ½ Σ hᵢ σ² wᵢ²
    "mean_loss_rise": 0.5 * 0.3**2 * sum(H),
    "mean_relative_loss_rise": 0.5 * 0.3**2 * (1 * 1 + 5 * 4 + 2 * 0 + 9 * 9),
}


@pytest.mark.parametrize("quantity", EXACT)
def test_bowl_rises_by_half_the_trace(quantity):
    row = rows_of(Bowl(H, 0.7, CENTRE), CENTRE, scale=0.3, draws=4000)[quantity, 0.3, -1]
    assert abs(row.value - EXACT[quantity]) < 3 * row.stderr < 0.1 * EXACT[quantity]


@pytest.mark.parametrize("quantity", EXACT)
def test_stderr_covers_the_truth_as_often_as_it_says(quantity):
    bowl = Bowl(H, 0.7, CENTRE)
    rows = [rows_of(bowl, CENTRE, seed, scale=0.3, draws=60)[quantity, 0.3, -1] for seed in range(200)]
    covered = np.mean([abs(r.value - EXACT[quantity]) < 1.96 * r.stderr for r in rows])
    assert 0.90 <= covered <= 0.98
    spread = np.std([r.value for r in rows], ddof=1)
    assert np.mean([r.stderr for r in rows]) == pytest.approx(spread, rel=0.15)


def test_mean_is_that_of_the_draws_and_more_draws_leave_the_first_alone():
    bowl = Bowl(H, 0.7, CENTRE)
    few, many = (rows_of(bowl, CENTRE + 1, scale=0.1, draws=n) for n in (5, 9))
    for quantity in ("loss_rise", "relative_loss_rise"):
        drawn = [few[quantity, 0.1, k].value for k in range(5)]
        assert drawn == [many[quantity, 0.1, k].value for k in range(5)]
        assert few[f"mean_{quantity}", 0.1, -1].value == pytest.approx(np.mean(drawn), rel=1e-12)
        assert few[f"mean_{quantity}", 0.1, -1].stderr == pytest.approx(
            np.std(drawn, ddof=1) / math.sqrt(5), rel=1e-12
        )


def test_scales_share_their_draws():
    found = rows_of(Bowl(H, 0.7, CENTRE), CENTRE, scale=[0.1, 0.2])
    for k in range(20):
        ratio = found["loss_rise", 0.2, k].value / found["loss_rise", 0.1, k].value
        assert ratio == pytest.approx(4, rel=1e-9)


def test_a_loss_that_falls_is_a_negative_rise():
    """On the wall of a bowl half the draws go down."""
    found = rows_of(Bowl(H, 0.7, CENTRE), CENTRE + 5, scale=0.1)
    assert min(r.value for r in found.values()) < 0


def test_relative_noise_leaves_a_zero_weight_alone():
    theta = torch.zeros(4, dtype=torch.float64)
    found = rows_of(Bowl(H), theta, scale=1.0)
    assert found["mean_relative_loss_rise", 1.0, -1].value == 0
    assert found["mean_loss_rise", 1.0, -1].value > 0


def test_an_infinite_loss_is_flagged():
    class Cliff(Bowl):
        def many(self, thetas):
            return np.array([math.inf for _ in thetas])

    assert {r.status for r in rows_of(Cliff(H), CENTRE).values()} == {"nonfinite"}


def test_a_network_is_altered_as_a_whole_on_its_training_set(solution, data):
    rows = checked("perturbation", Perturbation(scale=0.1, draws=2)(solution, data, Stream(0)))
    risk = Risk(solution, data.train, data)
    noise = torch.from_numpy(Stream(0).child("draw", 0).normal(len(solution.theta_P))).double()
    expected = risk(solution.theta_P + 0.1 * noise) - risk(solution.theta_P)
    first = next(r for r in rows if r.quantity == "loss_rise")
    assert first.value == pytest.approx(expected, rel=1e-12)
    assert {r.split for r in rows} == {"train"}
