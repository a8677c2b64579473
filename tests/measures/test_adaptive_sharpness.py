from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, cross_entropy
from gensweep.known import Bowl, Regression
from gensweep.measures.adaptive_sharpness import AdaptiveSharpness, normalised, partition
from gensweep.rng import Stream
from gensweep.rows import QUANTITIES, checked

H = [1.0, 5.0, 2.0]
CENTRE = torch.tensor([1.0, -2.0, 0.0], dtype=torch.float64)


def table(rows):
    return {(r.quantity, r.x): r for r in checked("adaptive_sharpness", rows)}


def rows_of(loss, theta, seed=0, **settings):
    return table(AdaptiveSharpness(**settings).search(loss, [], [], theta, Stream(seed), ""))


def regression(seed, noise=0.0):
    rng = Stream(seed)
    a = torch.from_numpy(rng.child("a").normal(40 * 6)).double().view(40, 6)
    w = torch.from_numpy(rng.child("w").normal(6)).double()
    return Regression(a, a @ w + noise * torch.from_numpy(rng.child("b").normal(40)).double()), w


@pytest.mark.parametrize("seed", range(10))
def test_l2_ball_around_a_minimum_reaches_the_top_eigenvalue(seed):
    """max over ‖z‖ ≤ ρ of ½ (Tz)ᵀH(Tz) is ½ρ²λ_max(THT), with H = 2AᵀA/N."""
    loss, w = regression(seed)
    scaled = loss.a * w.abs()
    top = torch.linalg.eigvalsh(2 * scaled.T @ scaled / 40)[-1].item()
    row = rows_of(loss, w, rho=0.3, norm="l2", steps=100)["worst_l2", 0.3]
    assert row.value == pytest.approx(0.5 * 0.3**2 * top, rel=1e-4)
    assert row.value <= 0.5 * 0.3**2 * top * (1 + 1e-12)
    assert row.status == "ok"


@pytest.mark.parametrize("seed", range(10))
def test_linf_box_reaches_the_best_corner(seed):
    loss, w = regression(seed, noise=1.0)
    signs = torch.tensor(list(product((-1.0, 1.0), repeat=6)), dtype=torch.float64)
    best = max(loss(w + 0.1 * w.abs() * s) for s in signs) - loss(w)
    row = rows_of(loss, w, rho=0.1, norm="linf", starts=30)["worst_linf", 0.1]
    assert row.value == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(("norm", "variance"), [("l2", 1.0), ("linf", 1 / 3)])
def test_average_over_a_bowl_is_half_the_scaled_trace(norm, variance):
    row = rows_of(Bowl(H, 0.7, CENTRE), CENTRE, rho=0.3, norm=norm, draws=4000)[f"average_{norm}", 0.3]
    exact = 0.5 * 0.3**2 * variance * (1 * 1 + 5 * 4 + 2 * 0)
    assert abs(row.value - exact) < 3 * row.stderr < 0.1 * exact


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_zero_weights_stay_where_they_are(norm):
    found = rows_of(Bowl(H, 0.7), torch.zeros(3, dtype=torch.float64), rho=0.3, norm=norm)
    assert all(r.value == 0 and r.status == "ok" for r in found.values())


def test_starts_that_disagree_are_flagged():
    class TwoHills(Bowl):
        """A low hill to the left, a high one to the right."""

        def __call__(self, theta_P):
            return self.grad(theta_P)[0]

        def grad(self, theta_P):
            up = theta_P - 1
            return torch.where(up > 0, up * 10, -up).item(), torch.where(up > 0, 10.0, -1.0)

    found = rows_of(TwoHills(H), torch.ones(1, dtype=torch.float64), rho=0.5, norm="linf", steps=2, starts=8)
    assert found["worst_linf_spread", 0.5].value > 1
    assert found["worst_linf", 0.5].status == "not_converged"


def rescaled(solution, hidden):
    """The same function: each hidden unit's inputs grow by a factor, its outputs shrink by it."""
    factors = torch.tensor(np.geomspace(0.2, 5, hidden))
    (w1, b1, w2, b2) = solution.layout.unpack(solution.theta_P).values()
    parts = (w1 * factors[:, None], b1 * factors, w2 / factors, b2)
    return replace(solution, theta_P=torch.cat([part.reshape(-1) for part in parts]))


def measured(solution, data, **settings):
    return table(AdaptiveSharpness(block=16, draws=20, **settings)(solution, data, Stream(0)))


def test_rescaling_between_layers_changes_nothing(solution, data):
    before, after = measured(solution, data), measured(rescaled(solution, 6), data)
    assert {quantity for quantity, _ in before} == set(QUANTITIES["adaptive_sharpness"])
    for key, row in before.items():
        assert after[key].value == pytest.approx(row.value, rel=1e-7, abs=1e-12), key


def test_the_size_of_the_outputs_plays_a_part_only_without_normalisation(solution, data):
    (w1, b1, w2, b2) = solution.layout.unpack(solution.theta_P).values()
    louder = replace(solution, theta_P=torch.cat([p.reshape(-1) for p in (w1, b1, 5 * w2, 5 * b2)]))
    before, after = measured(solution, data), measured(louder, data)
    for key, row in before.items():
        if "spread" in key[0]:
            continue  # nearly nothing, before and after
        same = after[key].value == pytest.approx(row.value, rel=1e-6, abs=1e-12)
        assert same == key[0].endswith("_logit_normalised"), key


def test_normalised_logits_have_mean_0_and_norm_1():
    logits = torch.tensor([[3.0, 1.0, -1.0], [7.0, 7.0, 7.0]], dtype=torch.float64)
    unit = torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64) / np.sqrt(2)
    expected = [-torch.log_softmax(unit, 0)[1].item(), np.log(3)]
    assert normalised(cross_entropy)(logits, torch.tensor([1, 0])).tolist() == pytest.approx(expected)


def test_two_classes_have_no_normalised_logits(solution, data):
    found = measured(solution, replace(data, num_classes=2))
    flags = {row.status for (q, _), row in found.items() if q.endswith("_logit_normalised")}
    assert flags == {"not_applicable"}
    assert {quantity for quantity, _ in found} == set(QUANTITIES["adaptive_sharpness"])


def test_blocks_hold_every_example_once_and_one_block_is_the_whole(solution, data):
    blocks = partition(data.train, 16, Stream(0))
    assert [len(block) for block in blocks] == [16, 16, 8]
    assert sorted(np.concatenate([block.index for block in blocks])) == list(range(40))
    found = table(AdaptiveSharpness(block=40, draws=4)(solution, data, Stream(0)))
    for norm, rho in (("l2", 0.05), ("linf", 0.001)):
        whole, block = found[f"worst_{norm}", rho], found[f"worst_{norm}_per_block", rho]
        assert block.value == pytest.approx(whole.value, rel=0.02)
        assert measured(solution, data)[f"worst_{norm}_per_block", rho].value > whole.value


def test_blocks_are_averaged_over_examples():
    """Two bowls of 3 and 1 examples: ¾ of the first maximum and ¼ of the second."""
    parts = [Bowl([2.0], 0.1), Bowl([6.0], 0.9)]
    for bowl in parts:
        bowl.centre = torch.ones(1, dtype=torch.float64)
    theta = torch.ones(1, dtype=torch.float64)
    measure = AdaptiveSharpness(rho=0.5, norm="linf")
    found = table(measure.search(parts[0], parts, [3, 1], theta, Stream(0), ""))
    expected = 0.75 * 0.5 * 2 * 0.25 + 0.25 * 0.5 * 6 * 0.25
    assert found["worst_linf_per_block", 0.5].value == pytest.approx(expected, rel=1e-12)


def test_the_whole_is_the_training_set(solution, data):
    found = measured(solution, data)
    loss = Risk(solution, data.train, data)
    for key, row in rows_of(loss, solution.theta_P, draws=20).items():
        assert row == found[key]


def test_the_solution_is_left_alone(solution, data):
    before = Layout.of(solution.model).pack(dict(solution.model.named_parameters())), solution.theta_P.clone()
    measured(solution, data)
    after = Layout.of(solution.model).pack(dict(solution.model.named_parameters())), solution.theta_P
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
