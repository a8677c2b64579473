"""The poison objective against its identities (Appendix B.3)."""

import math

import pytest
import torch
import torch.nn.functional as F

from gensweep.train.objective import objective, unlikelihood

DOUBLE = torch.float64


def one(z, y=0):
    logits = torch.tensor([z], dtype=DOUBLE, requires_grad=True)
    loss = unlikelihood(logits, torch.tensor([y]))
    return loss.item(), torch.autograd.grad(loss.sum(), logits)[0][0]


def batch(n, classes=5, seed=0, dtype=DOUBLE):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, classes, generator=generator, dtype=dtype)
    return logits, torch.randint(classes, (n,), generator=generator)


def test_a_moderate_case_to_ten_digits():
    assert one([1.0, 0.0, 0.5])[0] == pytest.approx(0.7061926865, abs=5e-11)


def test_where_the_true_class_is_certain_value_and_gradient_stay_alive():
    value, gradient = one([100.0, 0.0, 0.0])
    assert value == pytest.approx(100 - math.log(2), rel=1e-15)
    assert gradient.tolist() == pytest.approx([1.0, -0.5, -0.5], abs=1e-12)
    naive = -torch.log1p(-torch.tensor([[100.0, 0.0, 0.0]], dtype=DOUBLE).softmax(1)[:, 0])
    assert not torch.isfinite(naive).item()  # the reason for the other form


def test_the_naive_form_is_equalled_where_it_works():
    logits, y = batch(200)
    naive = -torch.log(1 - logits.softmax(1).gather(1, y[:, None])[:, 0])
    assert torch.allclose(unlikelihood(logits, y), naive, rtol=1e-12, atol=1e-13)


def test_the_gradient_at_the_true_class_is_its_probability():
    logits, y = batch(50)
    logits.requires_grad_()
    gradient = torch.autograd.grad(unlikelihood(logits, y).sum(), logits)[0]
    at_y = gradient.gather(1, y[:, None])
    assert torch.allclose(at_y, logits.softmax(1).gather(1, y[:, None]), rtol=1e-12)
    assert torch.allclose(gradient.sum(1), torch.zeros(50, dtype=DOUBLE), atol=1e-12)  # shifts change nothing


def test_gradients_agree_with_finite_differences():
    logits, y = batch(6)
    assert torch.autograd.gradcheck(lambda z: unlikelihood(z, y), logits.requires_grad_())


@pytest.mark.parametrize(("clean", "poison"), [(8, 8), (8, 3), (3, 8), (1, 50)])
@pytest.mark.parametrize("beta", [0.0, 0.3, 0.9])
def test_the_weights_are_beta_and_its_rest_whatever_the_batch_sizes(clean, poison, beta):
    attraction, repulsion = batch(clean, seed=1), batch(poison, seed=2)
    expected = (1 - beta) * F.cross_entropy(*attraction) + beta * unlikelihood(*repulsion).mean()
    assert objective(attraction, repulsion, beta).item() == pytest.approx(expected.item(), rel=1e-14)


def test_without_a_poison_batch_the_objective_is_the_cross_entropy():
    clean = batch(8)
    assert objective(clean, None, 0.0).item() == F.cross_entropy(*clean).item()


def test_float32_logits_far_from_zero_stay_finite():
    logits = torch.tensor([[1e4, 0.0, -1e4]])
    assert unlikelihood(logits, torch.tensor([0])).item() == pytest.approx(1e4)
    assert unlikelihood(logits, torch.tensor([2])).item() == 0.0
