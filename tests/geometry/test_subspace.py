import pytest
import torch

from gensweep.geometry import subspace
from gensweep.geometry.subspace import Subspace, Within
from gensweep.known import Bowl
from gensweep.rng import Stream

THETA = torch.from_numpy(Stream(1).normal(30)).double()


def matrix():
    return Subspace(THETA, 7, Stream(0)).kept


def test_it_is_one_matrix_however_it_is_held(monkeypatch):
    whole = matrix()
    monkeypatch.setattr(subspace, "BLOCK", 30 * 3)
    held = Subspace(THETA, 7, Stream(0))
    assert held.kept is None
    z = torch.arange(7.0, dtype=torch.float64)
    assert torch.allclose(held.up(z), whole @ z, rtol=1e-14)
    assert torch.allclose(held.down(THETA), whole.T @ THETA, rtol=1e-14)
    assert torch.allclose(held.coordinates(THETA), torch.linalg.pinv(whole) @ THETA, rtol=1e-10)


def test_columns_have_length_1_and_no_preferred_sign():
    whole = matrix()
    assert torch.allclose(whole.norm(dim=0), torch.ones(7, dtype=torch.float64), rtol=1e-14)
    assert abs(whole.sum()) < 3 * 7**0.5


def test_more_columns_leave_the_first_alone():
    assert torch.equal(Subspace(THETA, 3, Stream(0)).kept, matrix()[:, :3])


def test_no_block_is_larger_than_allowed(monkeypatch):
    monkeypatch.setattr(subspace, "BLOCK", 30 * 3)
    sizes = [block.numel() for _, block in Subspace(THETA, 7, Stream(0))._blocks()]
    assert sizes == [90, 90, 30]


def test_a_loss_within_has_the_projected_gradient():
    bowl = Bowl(range(1, 31))
    within = Within(bowl, THETA, Subspace(THETA, 7, Stream(0)))
    z = torch.linspace(-1, 1, 7, dtype=torch.float64)
    value, gradient = within.grad(z)
    assert value == within(z) == within.many([z])[0] == bowl(THETA + matrix() @ z)
    for d in range(7):
        step = torch.zeros(7, dtype=torch.float64)
        step[d] = 1e-6
        slope = (within(z + step) - within(z - step)) / 2e-6
        assert gradient[d].item() == pytest.approx(slope, rel=1e-6)
