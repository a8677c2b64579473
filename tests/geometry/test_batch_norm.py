import numpy as np
import pytest
import torch
from torch import nn

from gensweep.data.base import Data, Split
from gensweep.errors import InputError
from gensweep.geometry.batch_norm import Reestimated, initial, mixed, statistics, stored
from gensweep.geometry.risk import Risk
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.rng import Stream


def split(n, seed):
    x = Stream(seed).normal(n * 2 * 5 * 5).reshape(n, 2, 5, 5)
    return Split(x, Stream(seed, ("y",)).integers(3, n), np.arange(n))


def problem(build, n=40):
    model = drawn(build, Stream(0)).double().eval()
    train, test = split(n, 1), split(17, 2)
    data = Data(train, test, test, test, 3, mean=np.zeros(1), std=np.ones(1))
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model, theta_P, theta_P), data


def flat():
    return nn.Sequential(nn.Flatten(), nn.Linear(50, 3), nn.BatchNorm1d(3))


def deep():
    layers = [nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 2), nn.ReLU()]
    layers += [nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(16, 6), nn.BatchNorm1d(6)]
    return nn.Sequential(*layers, nn.Linear(6, 3))


def in_one_go(solution, x, theta_P):
    """Statistics as PyTorch itself collects them from one batch, its variance divided by N − 1 instead."""
    model = deep().double()
    model.load_state_dict(solution.layout.unpack(theta_P), strict=False)
    counts = {"1": 9 * len(x), "5": 4 * len(x), "9": len(x)}
    model[7].p = 0.0
    for name in counts:
        model.get_submodule(name).momentum = 1.0
    model.train()(x)
    found = {k: v for k, v in model.state_dict().items() if "running" in k}
    for name, n in counts.items():
        found[f"{name}.running_var"] *= (n - 1) / n
    return found


def test_one_batch_norm_after_a_linear_layer_in_closed_form():
    """Mean W x̄ + b, variance the diagonal of W Cov(x) Wᵀ."""
    solution, data = problem(flat)
    theta_P = solution.theta_P * 1.3 + 0.01
    parts = solution.layout.unpack(theta_P)
    x = torch.from_numpy(data.train.x).double().flatten(1)
    w = parts["1.weight"]
    found = Reestimated(Risk(solution, data.train, data))(theta_P)
    torch.testing.assert_close(found["2.running_mean"], w @ x.mean(0) + parts["1.bias"], rtol=1e-12, atol=0)
    covariance = torch.cov(x.T, correction=0)
    torch.testing.assert_close(found["2.running_var"], (w @ covariance @ w.T).diag(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("chunk", [40, 39, 13, 7, 1])
def test_deep_statistics_are_those_of_the_whole_split_whatever_the_chunks(chunk):
    solution, data = problem(deep)
    theta_P = solution.theta_P * 1.2
    found = Reestimated(Risk(solution, data.train, data, chunk=chunk))(theta_P)
    expected = in_one_go(solution, torch.from_numpy(data.train.x).double(), theta_P)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-12, atol=1e-14)


def test_a_point_does_not_remember_the_one_before():
    solution, data = problem(deep)
    anew = Reestimated(Risk(solution, data.train, data, chunk=9))
    first = {k: v.clone() for k, v in anew(solution.theta_P).items()}
    other = anew(2 * solution.theta_P)
    assert not torch.equal(first["5.running_var"], other["5.running_var"])
    again = anew(solution.theta_P)
    assert all(torch.equal(first[k], again[k]) for k in first)


def test_reestimated_is_eval_mode_with_those_statistics_stored_on_the_test_split_too():
    solution, data = problem(deep)
    train, test = Risk(solution, data.train, data), Risk(solution, data.test, data)
    buffers = statistics("reestimated", train)(solution.theta_P)
    by_hand = deep().double().eval()
    by_hand.load_state_dict({**solution.layout.unpack(solution.theta_P), **buffers}, strict=False)
    with torch.no_grad():
        expected = by_hand(torch.from_numpy(data.test.x).double())
    torch.testing.assert_close(test.logits(solution.theta_P, buffers), expected, rtol=1e-12, atol=1e-13)
    own = statistics("reestimated", test)(solution.theta_P)
    assert test.loss_and_accuracy(solution.theta_P, buffers) != test.loss_and_accuracy(solution.theta_P, own)


def test_batch_is_each_chunk_normalised_by_itself():
    solution, data = problem(deep)
    risk = Risk(solution, data.train, data, chunk=20)
    by_hand = deep().double()
    by_hand.load_state_dict(solution.layout.unpack(solution.theta_P), strict=False)
    by_hand.train()[7].p = 0.0
    with torch.no_grad():
        halves = [by_hand(x) for x in torch.from_numpy(data.train.x).double().split(20)]
    found = risk.logits(solution.theta_P, statistics("batch", risk)(solution.theta_P))
    torch.testing.assert_close(found, torch.cat(halves), rtol=1e-12, atol=1e-13)


def test_on_one_chunk_of_the_training_split_batch_and_reestimated_are_one():
    solution, data = problem(deep)
    risk = Risk(solution, data.train, data)
    losses = [
        risk.loss_and_accuracy(solution.theta_P, statistics(mode, risk)(solution.theta_P))[0]
        for mode in ("batch", "reestimated")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


def test_the_scale_of_a_convolution_before_batch_norm_goes_out_unless_statistics_are_fixed():
    """Exactly, once ε is lost in rounding and the factor a power of two."""
    solution, data = problem(deep)
    for name in ("1", "5", "9"):
        solution.model.get_submodule(name).eps = 1e-300
    risk = Risk(solution, data.train, data)
    scaled_P = solution.theta_P.clone()
    solution.layout.unpack(scaled_P)["0.weight"].mul_(4)
    for mode in ("reestimated", "batch", "fixed"):
        at = statistics(mode, risk)
        before, after = (risk.loss_and_accuracy(p, at(p))[0] for p in (solution.theta_P, scaled_P))
        assert (before == after) == (mode != "fixed")


def test_nothing_is_written_to_the_network():
    solution, data = problem(deep)
    model = solution.model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    risk = Risk(solution, data.train, data, chunk=11)
    for mode in ("fixed", "batch", "reestimated"):
        risk.loss_and_accuracy(2 * solution.theta_P, statistics(mode, risk)(2 * solution.theta_P))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(m.training or m._forward_pre_hooks for m in model.modules())


def test_batch_norms_without_statistics_or_never_called_are_left_alone():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = flat(), nn.BatchNorm1d(3, track_running_stats=False)
            self.idle = nn.BatchNorm1d(3)

        def forward(self, x):
            return self.last(self.first(x))

    solution, data = problem(Odd)
    found = Reestimated(Risk(solution, data.train, data, chunk=8))(solution.theta_P)
    assert set(found) == {f"{n}.running_{s}" for n in ("first.2", "idle") for s in ("mean", "var")}
    assert (found["idle.running_mean"] == 0).all()
    assert (found["idle.running_var"] == 1).all()


def test_mixed_statistics_move_along_a_line_and_a_variance_stops_at_zero():
    a = {"0.running_mean": torch.tensor([1.0, 2]), "0.running_var": torch.tensor([1.0, 4])}
    b = {"0.running_mean": torch.tensor([3.0, -2]), "0.running_var": torch.tensor([3.0, 1])}
    assert mixed(a, b, 1, 0)["0.running_var"].tolist() == [1, 4]
    assert mixed(a, b, 0, 1)["0.running_mean"].tolist() == [3, -2]
    assert mixed(a, b, 0.75, 0.25)["0.running_mean"].tolist() == [1.5, 1]
    assert mixed(a, b, 2, -1) == {
        "0.running_mean": pytest.approx([-1, 6]),
        "0.running_var": pytest.approx([0, 7]),
    }


def test_names_are_those_of_means_and_variances_and_never_of_counters():
    solution, _ = problem(deep)
    names = {f"{n}.running_{s}" for n in ("1", "5", "9") for s in ("mean", "var")}
    assert stored(solution.model).keys() == initial(solution.model).keys() == names
    assert initial(solution.model)["5.running_var"].tolist() == [1.0] * 4
    assert initial(solution.model)["5.running_mean"].tolist() == [0.0] * 4


def test_an_unknown_mode_is_refused():
    solution, data = problem(flat)
    with pytest.raises(InputError, match="batch_norm=frozen is not one of fixed, reestimated, batch"):
        statistics("frozen", Risk(solution, data.train, data))


@pytest.mark.parametrize("chunk", [40, 3])
def test_statistics_of_float32_nets_are_summed_in_float64(chunk):
    """Far from zero, sums in float32 lose the last digits of the mean."""
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(50), nn.Linear(50, 3)).eval()
    part = split(40, 1)
    part = Split(part.x + np.float32(1000), part.y, part.index)
    data = Data(part, part, part, part, 3, mean=np.zeros(1), std=np.ones(1))
    theta_P = Layout.of(model).pack(dict(model.named_parameters()))
    found = Reestimated(Risk(Solution(model, theta_P, theta_P), part, data, chunk=chunk))(theta_P)
    x = torch.from_numpy(part.x).double().flatten(1)
    assert torch.equal(found["1.running_mean"], x.mean(0).float())
    torch.testing.assert_close(found["1.running_var"], x.var(0, correction=0).float(), rtol=2e-7, atol=0)
