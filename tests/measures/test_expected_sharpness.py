import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from gensweep.geometry.risk import Risk
from gensweep.known import Bowl
from gensweep.measures.expected_sharpness import ExpectedSharpness, tolerated
from gensweep.rng import Stream
from gensweep.rows import checked

H = [1.0, 5.0, 2.0]
CENTRE = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)


def curve(loss, theta, **settings):
    rows = checked("expected_sharpness", ExpectedSharpness(**settings).curve(loss, theta, Stream(0)))
    return {(r.quantity, r.x): r for r in rows}


def sigma(accuracy, dims, seed=0):
    theta = torch.zeros(dims, dtype=torch.float64)
    rows = tolerated(lambda points: np.array([accuracy(p) for p in points]), theta, Stream(seed))
    return {r.quantity: r for r in checked("expected_sharpness", rows)}


def steps(width):
    """One example per parameter, lost when that parameter has moved by ``width``."""
    return lambda theta_P: (theta_P.abs() < width).double().mean().item()


@pytest.mark.parametrize("alpha", [0.01, 0.3])
def test_bowl_rises_by_half_the_weighted_trace(alpha):
    """σ is a standard deviation: E[rise] = ½ Σ hᵢ α²(10|wᵢ|+1)², and σ² in its place would be far off."""
    row = curve(Bowl(H, 0.7, CENTRE), CENTRE, scales=[alpha], draws=4000)["expected_sharpness", alpha]
    exact = 0.5 * alpha**2 * (1 * 11**2 + 5 * 21**2 + 2 * 1)
    assert abs(row.value - exact) < 3 * row.stderr < 0.1 * exact


def test_kl_by_hand():
    row = curve(Bowl(H), CENTRE, scales=[0.1], draws=4)["kl", 0.1]
    assert row.value == pytest.approx((1 / 1.1**2 + 4 / 2.1**2 + 0) / 2, rel=1e-12)
    assert row.stderr == 0


def test_scales_share_their_draws():
    found = curve(Bowl(H, 0.7, CENTRE), CENTRE, scales=[0.1, 0.2], draws=10)
    ratio = found["expected_sharpness", 0.2].value / found["expected_sharpness", 0.1].value
    assert ratio == pytest.approx(4, rel=1e-9)


def test_kl_where_the_bowl_has_risen_by_a_twentieth():
    """Both are powers of α, so the line in both logarithms is exact: KL · rise is the same at every scale."""
    bowl = Bowl([0.01 * h for h in H], 0.7, CENTRE)
    found = curve(bowl, CENTRE, scales=[0.2, 0.01], draws=50)  # in any order
    at = found["kl_at_sharpness", 0.05]
    rise, kl = (found[quantity, 0.2] for quantity in ("expected_sharpness", "kl"))
    assert at.value == pytest.approx(kl.value * rise.value / 0.05, rel=1e-9)
    assert at.stderr == pytest.approx(at.value * rise.stderr / rise.value, rel=1e-6)


@pytest.mark.parametrize(("scales", "bound"), [([1e-4, 2e-4], "upper"), ([1.0, 2.0], "lower")])
def test_scales_that_do_not_reach_it_give_a_bound(scales, bound):
    found = curve(Bowl(H), CENTRE, scales=scales, draws=4)
    at = found["kl_at_sharpness", 0.05]
    assert (at.status, at.value) == ("censored", found["kl", 2e-4 if bound == "upper" else 1.0].value)
    assert at.reason.endswith(f"{bound} bound")


def test_the_search_for_sigma_can_be_left_out(solution, data):
    rows = ExpectedSharpness(scales=[0.01], draws=4, tolerated=False)(solution, data, Stream(0))
    assert {r.quantity for r in rows} == {"expected_sharpness", "kl", "kl_at_sharpness"}


@pytest.mark.parametrize("width", [0.02, 3.0])
def test_tolerated_noise_of_steps(width):
    """An example is lost with probability 2Φ(−width/σ), which is 0.1 at σ = width/1.6449."""
    found = sigma(steps(width), 2000)
    truth = width / 1.6448536
    assert found["pac_bayes_sigma"].status == "ok"
    assert found["pac_bayes_sigma_low"].value <= truth <= found["pac_bayes_sigma_high"].value
    assert abs(found["pac_bayes_sigma"].value - truth) <= found["pac_bayes_sigma"].stderr < 0.051 * truth


def test_one_loud_step_is_bracketed_and_flagged():
    found = sigma(steps(1.0), 1)
    assert found["pac_bayes_sigma_low"].value <= 1 / 1.6448536 <= found["pac_bayes_sigma_high"].value
    assert found["pac_bayes_sigma"].status == "not_converged"


def test_an_accuracy_that_bears_all_noise_is_censored():
    found = sigma(lambda theta: 0.5, 3)
    assert found["pac_bayes_sigma"].status == "censored"
    assert found["pac_bayes_sigma"].value > 100


def test_an_accuracy_that_cannot_drop_has_no_sigma():
    assert sigma(lambda theta: 0.1, 3)["pac_bayes_sigma"].status == "not_applicable"


def test_a_trained_network_loses_a_tenth_of_its_training_set(solution, data):
    risk, theta = Risk(solution, data.train, data), solution.theta_P
    for _ in range(300):
        theta = theta - risk.grad(theta)[1]
    rows = checked(
        "expected_sharpness", ExpectedSharpness([1e-2], 4)(replace(solution, theta_P=theta), data, Stream(0))
    )
    found = {r.quantity: r for r in rows}
    assert all(math.isfinite(r.value) for r in rows)
    on_train = curve(risk, theta, scales=[1e-2], draws=4)["expected_sharpness", 1e-2]
    assert found["expected_sharpness"] == on_train
    base, value = risk.loss_and_accuracy(theta)[1], found["pac_bayes_sigma"].value
    noise = [torch.from_numpy(Stream(7).child(k).normal(len(theta))).double() for k in range(400)]
    drops = [base - risk.loss_and_accuracy(theta + value * z)[1] for z in noise]
    assert np.mean(drops) == pytest.approx(0.1, abs=0.02)
    assert {r.split for r in rows if r.quantity != "kl"} == {"train"}
