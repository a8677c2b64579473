"""Every measure, on trained networks of several kinds: each number is ok, or says why not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.autograd.function import once_differentiable

import gensweep
from gensweep import measures
from gensweep.geometry import certify, lanczos, langevin, local_volume, trace
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.mlp import MLP
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream
from gensweep.rows import QUANTITIES

# Less than the defaults; a measure that is not named here runs with its own.
SMALL = {
    "AdaptiveSharpness": {"rho": 0.01, "norm": "l2", "block": 32, "steps": 2, "starts": 2, "draws": 4},
    "Basin": {
        "cutoffs": 0.5,
        "directions": 2,
        "scan_points": 7,
        "particles": 10,
        "moves": 1,
        "replicates": 1,
        "rank": 1,
    },
    "Boundary": {"points": 3},
    "BoxSharpness": {"epsilon": 1e-3, "subspace": 3, "steps": 2, "starts": 2},
    "ExpectedSharpness": {"scales": 0.01, "draws": 4},
    "Gradient": {"examples": 4},
    "HessianRatio": {"points": 2, "span": 0.1, "steps": 6},
    "Interpolation": {"steps": 1, "beyond": 0},
    "LLC": {"draws": 40},
    "MagnitudeSharpness": {"steps": 2, "starts": 2},
    "Perturbation": {"scale": 0.01, "draws": 4},
    "Slice": {"points": 3},
    "Spectrum": {"top": 1, "steps": 6, "probes": 1},
    "Surface": {"points": 2},
}


class Reader(nn.Module):
    """Tokens in; an embedding whose weights are the last layer's too, a GRU or attention, no ReLU."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.embed, self.middle, self.norm = nn.Embedding(6, 8), middle, nn.LayerNorm(8)
        self.place = nn.Parameter(torch.zeros(5, 8))
        self.out = nn.Linear(8, 6, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, tokens):
        h = self.middle(self.embed(tokens) + self.place)
        h = h[0] if isinstance(h, tuple) else h
        return self.out(torch.tanh(self.norm(h[:, -1])))


def digits(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images[:n] / 16).float().view(-1, 1, 8, 8), torch.tensor(labels[:n])


def sentences(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Five tokens each; the class is the third."""
    tokens = torch.from_numpy(Stream(0).integers(6, 5 * n)).view(n, 5)
    return tokens, tokens[:, 2]


def trained(build, x, y, steps: int, lr: float) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
        adam = torch.optim.Adam(model.parameters(), lr)
        for _ in range(steps):
            adam.zero_grad()
            F.cross_entropy(model(x), y).backward()
            adam.step()
    return model


CASES = {
    "mlp": (lambda: MLP((1, 8, 8), 10, [16, 16]), digits(64), 100, 0.02),
    "cnn": (lambda: CNN((1, 8, 8), 10, 4), digits(64), 100, 0.05),
    "resnet20": (lambda: ResNet((1, 8, 8), 10, 20), digits(24), 25, 0.01),
    "gru": (lambda: Reader(nn.GRU(8, 8, batch_first=True)), sentences(32), 120, 0.02),
    "attention": (
        lambda: Reader(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)), sentences(32), 120, 0.02
    ),
}  # fmt: skip
# (measure, quantity) that are not there for any of them, and that are not for networks of tokens.
NEVER = {("norms", "l2_distance"), ("error", "target_reached"), ("boundary", "probability")}
NEVER |= {
    (name, quantity)
    for name in ("curve", "interpolation", "trajectory", "perturbed_boundary")
    for quantity in QUANTITIES[name]
}
NEVER -= {("perturbed_boundary", "train_point")}
NEVER |= {("magnitude_sharpness", f"pac_bayes_{form}") for form in ("init", "orig")}
TOKENS = {("path_norms", f"log10_l{p}_path{raw}") for p in (1, 2) for raw in ("", "_raw")}
TOKENS |= {("norms", "layer_operator"), ("norms", "log10_operator")}


@pytest.fixture(autouse=True)
def _cheap_searches(monkeypatch):
    """What has no setting of its own and would take minutes on a ResNet."""
    monkeypatch.setattr(certify, "PROBES", 6)
    monkeypatch.setattr(certify, "LOOKS", (8,))
    monkeypatch.setattr(trace, "BUDGET", 50)
    monkeypatch.setattr(local_volume, "DRAWS", 20)
    monkeypatch.setattr(lanczos, "RESTARTS", 1)
    monkeypatch.setattr(langevin, "PILOT", 10)


@pytest.mark.parametrize(
    "case", [pytest.param("resnet20", marks=pytest.mark.slow), "mlp", "cnn", "gru", "attention"]
)
def test_every_number_is_ok_or_says_why_not(case):
    build, (x, y), steps, lr = CASES[case]
    model, half = trained(build, x, y, steps, lr), len(y) // 2
    wanted = [getattr(measures, name)(**SMALL.get(name, {})) for name in measures.__all__]
    table = gensweep.measure(model, train=(x, y), test=(x[:half], y[:half]), measures=wanted)
    assert table["measure"].nunique() == len(wanted)
    flagged = table[table["status"] != "ok"]
    assert (flagged["reason"].str.len() > 10).all()
    assert np.isfinite(table["value"][table["status"] == "ok"]).all()
    assert table[table["status"] == "nonfinite"].empty
    at = table.set_index(["measure", "quantity", "split"])["value"]
    assert at["error", "accuracy", "train"] == 1  # else the margin is no margin, and nothing stands over it
    absent = flagged.query("status == 'not_applicable' and split not in ('confusion', 'poison')")
    pairs = set(zip(absent["measure"], absent["quantity"], strict=True))
    assert pairs == NEVER | (TOKENS if isinstance(model, Reader) else set())


class Tanh(torch.autograd.Function):
    """One derivative, and no second."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.tanh()

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (1 - x.tanh() ** 2)


class Forward(nn.Module):
    """A linear layer and what is done with its outputs."""

    def __init__(self, does) -> None:
        super().__init__()
        self.linear, self.does = nn.Linear(64, 10), does

    def forward(self, x):
        return self.does(self.linear(x.flatten(1)))


ONCE = {name: set(QUANTITIES[name]) for name in ("spectrum", "hessian_ratio")}
ONCE["basin"] = {"log10_volume_trace", "log10_volume_preconditioned"}
BY_SLOPE = {
    name: set(QUANTITIES[name]) for name in ("box_sharpness", "adaptive_sharpness", "gradient", "llc")
}


@pytest.mark.parametrize(
    ("does", "absent", "reason"),
    [
        (Tanh.apply, ONCE, "once_differentiable"),
        (torch.Tensor.detach, ONCE | BY_SLOPE, "no way from the loss"),
    ],
    ids=["one derivative", "none"],
)
def test_measures_that_need_derivatives_say_that_there_are_none(does, absent, reason):
    x, y = digits(20)
    wanted = [getattr(measures, name)(**SMALL.get(name, {})) for name in measures.__all__]
    table = gensweep.measure(drawn(lambda: Forward(does), Stream(0)), train=(x, y), measures=wanted)
    found = table[table["reason"].str.contains(reason)]
    assert set(found["status"]) == {"not_applicable"}
    assert found.groupby("measure")["quantity"].agg(set).to_dict() == absent
    others = table[table["measure"].isin(["slice", "perturbation"]) | (table["quantity"] == "radius")]
    assert others["value"].notna().all()


def test_networks_without_a_matrix_have_no_filters_to_measure_in():
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(2.0))

        def forward(self, x):
            return x[:, :3] * self.weight

    x = torch.eye(3).repeat(3, 1)
    wanted = [
        measures.Basin(**SMALL["Basin"]),
        measures.BoxSharpness(**SMALL["BoxSharpness"]),
        measures.Slice(points=3),
    ]
    table = gensweep.measure(Scale(), train=(x, x.argmax(1)), measures=wanted)
    basin, box = (table[table["measure"] == name] for name in ("basin", "box_sharpness"))
    assert set(basin["reason"]) == {"the metric filter moves no parameter of this network"}
    (absent,) = box[box["status"] == "not_applicable"].itertuples()
    assert absent.reason == "the network has 1 parameters, fewer than the subspace has columns"
