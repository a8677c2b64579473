import numpy as np
import pytest
import torch

from gensweep.geometry.margin import margins, order_quantile, order_quantile_stderr
from gensweep.rng import Stream


def test_margins_by_hand():
    logits = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 5.0], [1.0, 1.0, 1.0]])
    assert margins(logits, torch.tensor([0, 1, 2])).tolist() == [2.0, -3.0, 0.0]


def test_margins_do_not_see_a_shift_of_all_logits():
    logits = torch.from_numpy(Stream(0).normal(30)).double().view(10, 3)
    y = torch.from_numpy(Stream(1).integers(3, 10))
    np.testing.assert_allclose(margins(logits + 5, y), margins(logits, y), atol=1e-12)


@pytest.mark.parametrize(("q", "expected"), [(0, 1), (0.05, 6), (0.5, 51), (1, 100), (0.001, 2)])
def test_quantile_leaves_ceil_qn_values_below(q, expected):
    values = np.random.default_rng(0).permutation(np.arange(1.0, 101.0))
    assert order_quantile(values, q) == expected
    assert q == 1 or (values < expected).sum() == np.ceil(q * 100)


def test_stderr_of_the_median_of_normal_numbers():
    """Asymptotically √(π/2)/√n."""
    values = Stream(0).normal(2000).astype(float)
    assert order_quantile_stderr(values, 0.5, Stream(1)) == pytest.approx(np.sqrt(np.pi / 2 / 2000), rel=0.25)
