import numpy as np
import pytest
import torch
from torch import nn

from gensweep.geometry.metric import METRICS, li_direction
from gensweep.geometry.solution import Layout, Solution
from gensweep.models.build import drawn
from gensweep.rng import Stream


@pytest.fixture
def solution():
    model = drawn(lambda: nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Linear(5, 4)), Stream(0)).double()
    theta = Layout.of(model).pack(dict(model.named_parameters()))
    return Solution(model, theta, theta)


def filters(solution, vector):
    return {n: w.flatten(1) for n, w in solution.layout.unpack(vector).items() if w.dim() > 1}


def test_li_direction_has_the_norm_of_each_filter_and_no_bias(solution):
    d = li_direction(solution.layout, solution.theta_P, Stream(1))
    for name, w in filters(solution, solution.theta_P).items():
        torch.testing.assert_close(filters(solution, d)[name].norm(dim=1), w.norm(dim=1), rtol=1e-6, atol=0)
    assert (solution.layout.unpack(d)["0.bias"] == 0).all()


def test_li_slice_is_invariant_to_rescaling_a_layer(solution):
    """Layer i times a, its direction times a: the drawn curve of a ReLU net stays."""
    factor = solution.layout.unpack(torch.ones_like(solution.theta_P))
    factor["0.weight"] *= 7
    scale = solution.layout.pack(factor)
    d = li_direction(solution.layout, solution.theta_P, Stream(1))
    torch.testing.assert_close(li_direction(solution.layout, solution.theta_P * scale, Stream(1)), d * scale)


def test_filter_metric_moves_a_typical_filter_by_its_norm(solution):
    metric = METRICS["filter"](solution)
    steps = torch.stack([metric.direction(Stream(s)) for s in range(400)])
    for name, w in filters(solution, solution.theta_P).items():
        moved = torch.stack([filters(solution, s)[name] for s in steps])
        ratio = (moved.square().sum(2).mean(0) / w.square().sum(1)).sqrt()
        torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0.15, atol=0)
    assert metric.dimensions == sum(w.numel() for w in filters(solution, solution.theta_P).values())


def test_layer_metric_moves_a_typical_layer_by_its_norm(solution):
    metric = METRICS["layer"](solution)
    scales, n = solution.layout.unpack(metric.scale_P), metric.dimensions
    for name, w in solution.layout.unpack(solution.theta_P).items():
        scale = n**0.5 * w.norm() / w.numel() ** 0.5 if w.dim() > 1 else torch.zeros(())
        torch.testing.assert_close(scales[name], scale.expand_as(w).double())
    weights = filters(solution, solution.theta_P)
    assert n == sum(w.numel() for w in weights.values())
    exact = sum(w.numel() * np.log((n / w.numel()) ** 0.5 * w.norm().item()) for w in weights.values())
    assert metric.logdet == pytest.approx(exact, rel=1e-12)


def test_a_layer_of_equal_filters_is_one_in_both_metrics(solution):
    parts = {n: torch.ones_like(w) for n, w in solution.layout.unpack(solution.theta_P).items()}
    same = Solution(solution.model, solution.layout.pack(parts), solution.init_P)
    torch.testing.assert_close(METRICS["layer"](same).scale_P, METRICS["filter"](same).scale_P)
    assert not torch.equal(METRICS["layer"](solution).scale_P, METRICS["filter"](solution).scale_P)


def test_draws_steps_and_the_hessian_share_the_unit(solution):
    metric = METRICS["filter"](solution)
    torch.testing.assert_close(metric.step(metric.draw(Stream(4))), metric.direction(Stream(4)))
    h = torch.linspace(-1, 3, len(metric.scale_P), dtype=torch.float64)
    hessian = metric.hessian(lambda v_P: h * v_P)
    z_N = metric.draw(Stream(5))
    inside = metric.scale_P > 0
    torch.testing.assert_close(hessian @ z_N, h[inside] * metric.scale_P[inside] ** 2 * z_N)
    assert len(hessian) == metric.dimensions


def test_directions_are_unit_steps_in_z(solution):
    for metric in (make(solution) for make in METRICS.values()):
        moved = metric.direction(Stream(4)) / metric.scale_P
        assert moved[metric.scale_P > 0].norm().item() == pytest.approx(1, rel=1e-6)


def test_logdet_is_the_sum_of_logs(solution):
    metric = METRICS["filter"](solution)
    assert metric.logdet == pytest.approx(metric.scale_P[metric.scale_P > 0].log().sum().item())
    assert METRICS["euclidean"](solution).logdet == 0


def test_a_dead_filter_keeps_its_dimension_without_moving_far(solution):
    parts = solution.layout.unpack(solution.theta_P)
    parts["0.weight"][0] = 0
    metric = METRICS["filter"](solution)
    assert metric.dimensions == 3 * 18 + 20
    assert metric.direction(Stream(0)).isfinite().all()


def test_the_filters_of_a_transposed_convolution_make_its_output_channels():
    model = drawn(lambda: nn.ConvTranspose2d(2, 3, 3), Stream(0)).double()
    layout = Layout.of(model)
    theta = layout.pack(dict(model.named_parameters()))
    drawn_, weight = (layout.unpack(v)["weight"] for v in (li_direction(layout, theta, Stream(1)), theta))
    channel = (0, 2, 3)
    torch.testing.assert_close(
        *(torch.linalg.vector_norm(v, dim=channel) for v in (drawn_, weight)), rtol=1e-6, atol=0
    )
    assert not torch.allclose(drawn_.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1), rtol=1e-3)
    scale = layout.unpack(METRICS["filter"](Solution(model, theta, theta)).scale_P)["weight"]
    expected = (weight.square().mean(dim=channel) * weight.numel()).sqrt()
    torch.testing.assert_close(scale, expected[None, :, None, None].expand_as(weight))
