import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.stats import norm
from torch import nn
from torch.distributions import Normal, kl_divergence

from gensweep.data.base import Data, Split
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Solution
from gensweep.measures.magnitude_sharpness import MagnitudeSharpness, pac_bayes
from gensweep.rng import Stream
from gensweep.rows import QUANTITIES, checked

TENTH = norm.isf(0.1)  # 1.2816


class Line(nn.Module):
    """Two classes, one logit: w·x against 0, and no bias."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x):
        z = x @ self.w
        return torch.stack([torch.zeros_like(z), z], -1)


def classifier(w, x):
    """A line, and points that it classifies right; w·x is the margin where the label is 1."""
    x = np.asarray(x, dtype=np.float64)
    y = (x @ np.array(w) > 0).astype(np.int64)
    none = Split(x[:0], y[:0], np.arange(0))
    data = Data(Split(x, y, np.arange(len(x))), none, none, none, 2, np.zeros(1), np.ones(1))
    theta_P = torch.tensor(w, dtype=torch.float64)
    return Solution(Line(w).eval(), theta_P, theta_P / 2), data


def measured(solution, data, seed=0, **settings):
    rows = checked("magnitude_sharpness", MagnitudeSharpness(**settings)(solution, data, Stream(seed)))
    assert {r.split for r in rows} == {"train"}
    return {r.quantity: r for r in rows}


def interval(floor, w, seed=0):
    """σ' where example i is weight i and right while that is positive."""
    theta = torch.tensor(w, dtype=torch.float64)
    accuracies = lambda points: np.array([(p > 0).double().mean().item() for p in points])  # noqa: E731
    return MagnitudeSharpness(floor=floor).noise(accuracies, theta, Stream(seed))


@pytest.mark.parametrize("floor", [0.0, 0.8])
def test_noise_has_the_standard_deviation_that_the_formula_says(floor):
    """An example is lost with probability Φ(−w/√(σ'²w²+ε²)), which is 0.1 at w/√(…) = 1.2816."""
    found = interval(floor, [2.0] * 2000)
    truth = math.sqrt((2 / TENTH) ** 2 - floor**2) / 2
    assert found.closed
    assert found.low <= truth <= found.high <= 1.1 * found.low


def test_without_a_floor_the_size_of_the_weights_plays_no_part():
    same, mixed = interval(0.0, [1.0] * 1500), interval(0.0, [0.1, 1.0, 30.0] * 500)
    assert (same.low, same.high) == (mixed.low, mixed.high)
    assert same.low <= 1 / TENTH <= same.high


@pytest.mark.parametrize("seed", range(4))
def test_a_line_in_two_dimensions(seed):
    """Expected accuracy is a mean of normal CDFs: |mᵢ|/√Σ(σ'²wⱼ²+ε²)xᵢⱼ²."""
    w, floor = np.array([1.0, -0.4]), 0.05
    x = Stream(seed).child("x").normal(100).reshape(50, 2)
    x = np.array([p for p in x if abs(p @ w) > 0.2])

    def drop(sigma):
        return norm.sf(abs(x @ w) / np.sqrt(x**2 @ (sigma**2 * w**2 + floor**2))).mean()

    truth = brentq(lambda sigma: drop(sigma) - 0.1, 1e-6, 10)
    found = measured(*classifier(w.tolist(), x), seed=seed, floor=floor, starts=1, steps=5)
    low, high = found["magnitude_sigma_low"].value, found["magnitude_sigma_high"].value
    assert low <= truth <= high < 1.8 * low
    sigma = found["magnitude_sigma"]
    assert sigma.value == pytest.approx(math.sqrt(low * high))
    assert sigma.stderr == pytest.approx((high - low) / 2)
    assert sigma.status == ("ok" if high <= 1.1 * low else "not_converged")
    assert found["inverse_sigma_squared"].value == pytest.approx(1 / (low * high))
    assert found["inverse_sigma_squared"].stderr == pytest.approx((low**-2 - high**-2) / 2)


def test_the_worst_box_of_a_line_is_known():
    """Example i is lost when α'wᵢ + ε > wᵢ. Two of twenty are tolerated, the third is not.

    Four are wrong from the start: 0.8 − 0.7 is a little more than 0.1 in binary, and still tolerated.
    """
    w, floor = [0.4, 0.45, 0.5, *np.linspace(1, 3, 17)], 0.3
    solution, data = classifier(w, np.eye(20))
    labels = np.array([1] * 16 + [0] * 4)
    found = measured(solution, replace(data, train=replace(data.train, y=labels)), floor=floor)
    truth = 1 - floor / 0.5
    low, high = found["magnitude_alpha_low"].value, found["magnitude_alpha_high"].value
    assert low <= truth <= high <= 1.1 * low
    assert found["magnitude_alpha"].status == "censored"
    assert "an upper bound: 3 of 3" in found["magnitude_alpha"].reason
    assert found["magnitude_alpha"].stderr == pytest.approx((high - low) / 2)
    assert found["magnitude_alpha"].value == high
    assert found["inverse_alpha_squared"].value == pytest.approx(high**-2)
    assert "a lower bound: 3 of 3" in found["inverse_alpha_squared"].reason
    assert found["evaluations_worst"].value % (3 * 21) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_worst_box_is_never_smaller_than_the_true_one(seed):
    """All of a box in the plane is searched on a grid; an ascent finds no more than there is."""
    w = np.array([1.0, -0.4])
    x = Stream(seed).child("x").normal(60).reshape(30, 2).astype(float)
    solution, data = classifier(w.tolist(), x)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 101)] * 2), -1).reshape(-1, 2)
    right = np.sign(x @ w)

    def drop(alpha):
        return ((((w + alpha * abs(w) * grid) @ x.T) * right) <= 0).mean(1).max()

    truth = next(alpha for alpha in np.geomspace(0.01, 2, 300) if drop(alpha) > 0.1 + 1e-9)
    found = measured(solution, data, floor=0.0)
    assert found["magnitude_alpha_high"].value > truth * 0.97
    assert found["magnitude_alpha"].value < 2.5 * truth


def test_starts_that_disagree_are_flagged():
    class TwoHills:
        """The accuracy falls only far to the right, where half of the starts go."""

        def __len__(self):
            return 10

        def __call__(self, theta_P):
            return self.grad(theta_P)[0]

        def many(self, thetas):
            return np.array([self(theta) for theta in thetas])

        def loss_and_accuracy(self, theta_P):
            return self(theta_P), 0.5 if theta_P > 2 else 1.0

        def grad(self, theta_P):
            up = theta_P - 1
            return torch.where(up > 0, up * 10, -up).item(), torch.where(up > 0, 10.0, -1.0)

    theta = torch.ones(1, dtype=torch.float64)
    rows = MagnitudeSharpness(floor=0.0, steps=2, starts=8).box(TwoHills(), theta, Stream(0))
    found = {r.quantity: r for r in checked("magnitude_sharpness", rows)}
    assert found["magnitude_alpha"].status == "not_converged"
    assert "of 8 starts" in found["magnitude_alpha"].reason
    assert found["magnitude_alpha"].value == pytest.approx(1, rel=0.1)


def test_the_sum_is_half_a_divergence_from_the_best_round_prior():
    """The prior's variance is the mean of the posterior's and of the squared distances."""
    theta, start = (torch.from_numpy(Stream(k).normal(50)).double() for k in (1, 2))
    sigma, floor, n, distance = 0.3, 0.02, 700, theta - start
    posterior = (floor**2 + sigma**2 * distance**2).sqrt()
    prior = (posterior**2 + distance**2).mean().sqrt()
    half = kl_divergence(Normal(theta, posterior), Normal(start, prior)).sum().item() / 2
    expected = half + math.log(n / sigma) + 10
    assert pac_bayes(distance, distance, sigma, floor, n) == pytest.approx(expected, rel=1e-10)
    by_hand = 0.25 * math.log((0.01 + 1.25 * 5) / (0.01 + 0.25 * 1)) + 0.25 * math.log(
        (0.01 + 1.25 * 5) / (0.01 + 0.25 * 4)
    )
    found = pac_bayes(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.0]), 0.5, 0.1, 100)
    assert found == pytest.approx(by_hand + math.log(200) + 10, rel=1e-6)


def test_the_bounds_hold_what_the_network_moved():
    w = np.linspace(0.5, 3, 20)
    found = measured(*classifier(w.tolist(), np.eye(20)), floor=0.1, starts=1, steps=2)
    theta = torch.from_numpy(w)
    sigma, low, high = (found[f"magnitude_sigma{end}"].value for end in ("", "_low", "_high"))
    for name, reference in (("pac_bayes_init", theta / 2), ("pac_bayes_orig", theta)):
        ends = [pac_bayes(reference, theta / 2, s, 0.1, 20) for s in (low, high)]
        assert found[name].value == pytest.approx(pac_bayes(reference, theta / 2, sigma, 0.1, 20))
        assert found[name].stderr == pytest.approx(abs(ends[0] - ends[1]) / 2)
        assert found[name].status == found["magnitude_sigma"].status


def test_what_is_missing_is_said():
    solution, data = classifier([1.0] * 20, np.eye(20))
    unknown = measured(replace(solution, init_P=None), data, starts=1, steps=2)
    assert unknown["pac_bayes_init"].status == "not_applicable"
    assert "initial" in unknown["pac_bayes_init"].reason
    assert unknown["magnitude_sigma"].value > 0
    wrong = measured(solution, replace(data, train=replace(data.train, y=1 - data.train.y)))
    assert {r.status for r in wrong.values()} == {"not_applicable"}
    drowned = measured(solution, data, floor=5.0, starts=1, steps=2)
    for name in ("magnitude_sigma", "magnitude_alpha"):
        assert drowned[name].status == "censored"
        assert "upper bound" in drowned[name].reason
    assert drowned["pac_bayes_orig"].status == "not_applicable"


def test_an_accuracy_that_bears_everything_is_censored():
    """The only weight that moves is 0 times its input."""
    solution, data = classifier([1.0, 1.0], [[0.0, 0.0]] * 5)
    found = measured(solution, data, floor=0.0, starts=1, steps=2)
    for name in ("magnitude_sigma", "magnitude_alpha"):
        assert found[name].status == "censored"
        assert "lower bound" in found[name].reason
        assert math.isnan(found[f"{name}_high"].value)
    assert found["inverse_alpha_squared"].status == "censored"


def rescaled(solution):
    factors = torch.tensor(np.geomspace(0.2, 5, 6))
    (w1, b1, w2, b2) = solution.layout.unpack(solution.theta_P).values()
    parts = (w1 * factors[:, None], b1 * factors, w2 / factors, b2)
    return replace(solution, theta_P=torch.cat([part.reshape(-1) for part in parts]))


def test_rescaling_between_layers_changes_nothing_without_a_floor(solution, data):
    risk, theta = Risk(solution, data.train, data), solution.theta_P
    for _ in range(300):
        theta = theta - risk.grad(theta)[1]
    trained = replace(solution, theta_P=theta)
    settings = {"starts": 2, "steps": 10}
    before, after = (measured(s, data, floor=0.0, **settings) for s in (trained, rescaled(trained)))
    assert set(before) == set(QUANTITIES["magnitude_sharpness"])
    for name, row in before.items():
        if not name.startswith("pac_bayes"):
            assert after[name].value == pytest.approx(row.value, rel=1e-7), name
    assert after["pac_bayes_init"].value != pytest.approx(before["pac_bayes_init"].value, rel=1e-3)
    loud = [measured(s, data, floor=0.3, **settings) for s in (trained, rescaled(trained))]
    assert loud[0]["magnitude_sigma"].value != pytest.approx(loud[1]["magnitude_sigma"].value, rel=0.1)
    assert torch.equal(trained.theta_P, theta)
