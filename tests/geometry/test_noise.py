import numpy as np
import pytest
import torch

from gensweep.geometry.noise import expected_rise, expected_rises, gaussian, rises, rises_at, uniform
from gensweep.known import Bowl
from gensweep.rng import Stream

H = torch.tensor([1.0, 5.0, 2.0], dtype=torch.float64)
ZERO, ONE = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)


class Slope(Bowl):
    """The bowl on a steep plane: what is odd in the noise dwarfs what is even."""

    def __call__(self, theta_P):
        return super().__call__(theta_P) + 100 * theta_P.sum().item()


@pytest.mark.parametrize(("law", "variance"), [(gaussian, 1.0), (uniform, 1 / 3)])
@pytest.mark.parametrize("loss", [Bowl(H.tolist()), Slope(H.tolist())], ids=["bowl", "slope"])
def test_the_mean_rise_of_a_bowl_is_half_the_trace(loss, law, variance):
    mean, stderr = expected_rise(loss, ZERO, 0.5 * ONE, Stream(0), 4000, law)
    exact = 0.5 * 0.25 * variance * H.sum().item()
    assert abs(mean - exact) < 3 * stderr < 0.1 * exact


@pytest.mark.parametrize("loss", [Bowl(H.tolist()), Slope(H.tolist())], ids=["bowl", "slope"])
def test_pairs_are_taken_where_they_pay(loss):
    """Pairs are useless in the middle of a bowl and remove a slope altogether."""
    _, stderr = expected_rise(loss, ZERO, ONE, Stream(0), 1000)
    single = np.std([r[0] for r in rises(Bowl(H.tolist()), ZERO, ONE, Stream(0), 1000)]) / np.sqrt(1000)
    assert stderr == pytest.approx(single * (1 if type(loss) is Bowl else np.sqrt(2)), rel=0.1)


def test_budget_is_kept():
    for loss in (Bowl(H.tolist()), Slope(H.tolist())):
        expected_rise(loss, ZERO, ONE, Stream(0), 40)
        assert loss.calls == 1 + 40 + 1 + 10


def test_stderr_covers_the_truth_as_often_as_it_says():
    exact = 0.5 * H.sum().item()
    for loss in (Bowl(H.tolist()), Slope(H.tolist())):
        found = [expected_rise(loss, ZERO, ONE, Stream(s), 80) for s in range(200)]
        assert 0.90 <= np.mean([abs(m - exact) < 1.96 * e for m, e in found]) <= 0.98


def test_mirrored_draws_are_opposite():
    found = rises(Slope([0.0, 0.0, 0.0]), ZERO, ONE, Stream(0), 3, mirror=True)
    assert found[:, 0] == pytest.approx(-found[:, 1])
    assert found[:, :1] == pytest.approx(rises(Slope([0.0, 0.0, 0.0]), ZERO, ONE, Stream(0), 3))


@pytest.mark.parametrize("mirror", [False, True])
def test_scales_share_their_draws(monkeypatch, mirror):
    monkeypatch.setattr("gensweep.geometry.noise.BLOCK", 6)  # two draws of three numbers
    loss = Slope(H.tolist())
    found = rises_at(loss, ONE, ONE, (0.5, 2.0), Stream(0), 5, mirror=mirror)
    for rise_K, scale in zip(found, (0.5, 2.0), strict=True):
        assert rise_K == pytest.approx(rises(loss, ONE, scale * ONE, Stream(0), 5, mirror=mirror), rel=1e-12)


def test_every_scale_decides_for_itself_whether_pairs_pay():
    loss, scales = Bowl(H.tolist()), (1e-4, 1.0)
    found = expected_rises(loss, 0.1 * ONE, ONE, scales, Stream(0), 40)
    assert loss.calls == 2 * 10 + 1 + 40 + 1 + 40 + 1
    for pair, scale in zip(found, scales, strict=True):
        assert pair == pytest.approx(expected_rise(loss, 0.1 * ONE, scale * ONE, Stream(0), 40), rel=1e-6)
