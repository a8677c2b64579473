"""`gensweep.measure` on a network that makes every mistake of manners a network can make."""

from __future__ import annotations

import copy
import random
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gensweep
from gensweep.data.base import Data, Split
from gensweep.errors import InputError
from gensweep.geometry.solution import Layout, Solution, cross_entropy
from gensweep.measures import (
    Basin,
    BoxSharpness,
    Interpolation,
    Margin,
    Perturbation,
    Slice,
    Spectrum,
    Trajectory,
)
from gensweep.models.build import drawn
from gensweep.rng import Stream
from gensweep.rows import COLUMNS, KEY
from gensweep.table.shards import collect
from gensweep.table.store import Store


class Nasty(nn.Module):
    """Tied and frozen weights, batch norm, dropout, buffers that a forward pass writes, an empty module."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4), nn.Tanh(), nn.Dropout(0.5)
        )
        self.nothing = nn.Identity()
        self.middle, self.again = nn.Linear(4, 4), nn.Linear(4, 4)
        self.again.weight = self.middle.weight
        self.out = nn.Linear(4, 3)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)

    def forward(self, x):
        self.calls += 1
        h = self.again(torch.tanh(self.middle(self.inside(x))))
        outputs = self.out(self.nothing(h)) * self.frozen
        self.scratch = outputs.detach().mean(0)
        return outputs


def examples(n: int = 24) -> tuple[np.ndarray, np.ndarray]:
    x = Stream(1).normal(6 * n).reshape(n, 6)
    return x, x[:, :3].argmax(1)


@pytest.fixture
def data():
    x, y = examples(32)
    return {"train": (x[:20], y[:20]), "test": (torch.from_numpy(x[20:]), torch.from_numpy(y[20:]))}


@pytest.fixture
def nasty(data):
    """In training mode with one submodule in eval mode, with gradients and running statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Nasty().double()
        model(torch.from_numpy(data["train"][0]).double()).square().sum().backward()
    model.inside[3].eval()
    return model


def everything(model: nn.Module) -> dict:
    """All that a measure might have touched, by value and by identity."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {
        "values": {name: t.detach().clone() for name, t in tensors.items()},
        "grads": {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None},
        "identities": {name: (id(t), id(t.grad), t.requires_grad, t.device) for name, t in tensors.items()},
        "modes": {name: m.training for name, m in model.named_modules()},
        "hooks": {
            name: [list(v) for k, v in vars(m).items() if "hooks" in k] for name, m in model.named_modules()
        },
        "attributes": {name: sorted(vars(m)) for name, m in model.named_modules()},
        "random": [torch.get_rng_state(), *np.random.get_state()[1:], *random.getstate()[1]],  # noqa: NPY002
        "torch": [torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()],
        "more torch": [torch.are_deterministic_algorithms_enabled(), torch.is_autocast_enabled("cpu")],
        "numpy": np.geterr(),
    }


def assert_same(one, other, path=""):
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_same(one[key], other[key], f"{path}.{key}")
    elif isinstance(one, list) and one and isinstance(one[0], torch.Tensor):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True)), path
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
        assert one.dtype == other.dtype, path
    else:
        assert one == other, path


CHEAP = ["error", "margin", "norms", "path_norms"]
QUICK = [Perturbation(scale=0.01, draws=4), BoxSharpness(epsilon=1e-3, steps=2, starts=2), Slice(points=3)]
WITH_FROZEN = pytest.mark.filterwarnings("ignore:1 of 9 parameters")


def cheap(model, data, measures=CHEAP, **more) -> pd.DataFrame:
    return gensweep.measure(model, **data, measures=measures, **more)


@WITH_FROZEN
def test_the_model_and_the_world_are_left_as_found(nasty, data):
    nasty.register_forward_hook(lambda module, given, out: out + 0 * torch.rand(()))
    before = everything(nasty)
    arrays = [copy.deepcopy(part) for pair in data.values() for part in pair]
    cheap(nasty, data, [*CHEAP, *QUICK, Spectrum(top=2, steps=4, probes=1)])
    assert_same(before, everything(nasty))
    assert all(np.array_equal(a, b) for a, b in zip(arrays, [*data["train"], *data["test"]], strict=True))


@WITH_FROZEN
def test_also_when_a_measure_fails_which_its_rows_say_and_no_others(nasty, data, monkeypatch):
    def failing(self, solution, data, rng):
        torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
        with torch.no_grad():
            solution.model.out.weight.fill_(7)
        raise ZeroDivisionError("out of luck")

    monkeypatch.setattr(Margin, "__call__", failing)
    before = everything(nasty)
    with pytest.warns(UserWarning, match="margin: the measure failed: ZeroDivisionError: out of luck"):
        table = cheap(nasty, data, ["error", "margin"])
    failed = table[table["measure"] == "margin"]
    assert set(failed["status"]) == {"not_applicable"}
    assert set(failed["reason"]) == {"the measure failed: ZeroDivisionError: out of luck"}
    assert (table[table["measure"] == "error"]["status"] == "ok").any()
    assert_same(before, everything(nasty))


@WITH_FROZEN
def test_whatever_the_world_is_like_the_numbers_are_the_same(nasty, data):
    measures = [*CHEAP, *QUICK]
    expected = cheap(nasty, data, measures)
    with torch.no_grad():
        pd.testing.assert_frame_equal(cheap(nasty, data, measures), expected, check_exact=True)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        pd.testing.assert_frame_equal(cheap(nasty, data, measures), expected, check_exact=True)
    torch.set_default_dtype(torch.float64)
    try:
        pd.testing.assert_frame_equal(cheap(nasty, data, measures), expected, check_exact=True)
    finally:
        torch.set_default_dtype(torch.float32)


@WITH_FROZEN
def test_other_measures_and_their_order_change_no_row(nasty, data):
    measures = [*CHEAP, *QUICK, Basin(cutoffs=0.5, directions=3, replicates=0)]
    whole = cheap(nasty, data, measures)
    backwards = cheap(nasty, data, measures[::-1])
    pd.testing.assert_frame_equal(whole, backwards, check_exact=True)
    for one in measures:
        alone = cheap(nasty, data, [one])
        rows = whole[whole["measure"].isin(alone["measure"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, rows, check_exact=True)


@WITH_FROZEN
def test_the_numbers_are_those_of_the_model_in_eval_mode(nasty, data):
    table = cheap(nasty.train(), data, ["error"]).set_index(["quantity", "split"])["value"]
    own = copy.deepcopy(nasty).eval()
    for split, (x, y) in data.items():
        with torch.no_grad():
            logits = own(torch.as_tensor(x).double())
        y = torch.as_tensor(y)
        assert table["loss", split] == pytest.approx(F.cross_entropy(logits, y).item(), rel=1e-14)
        assert table["accuracy", split] == (logits.argmax(1) == y).double().mean().item()


def linear(classes: int = 3) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, classes))


def test_the_table_is_one_that_collect_could_have_written(data, tmp_path):
    table = cheap(linear(), data)
    assert list(table) == [*COLUMNS, "reason"]
    assert not table.duplicated(list(KEY)).any()
    assert (table["reason"] != "").equals(table["status"] != "ok")
    assert table["measure"].unique().tolist() == sorted(CHEAP)
    run = Store(tmp_path).run("0123456789ab")
    with run.claimed():
        from gensweep.rows import Row
        from gensweep.table.shards import encoded

        shard = encoded([Row("loss", 1.0, split="train")], {})
        run.commit(
            {"config.yaml": b"seed: 0", "outcome.json": b'{"state": "done"}', "rows/error-0.parquet": shard}
        )
    collected = collect(Store(tmp_path))[0]
    assert table.dtypes.equals(collected[list(table)].dtypes)


def test_mixed_precision_around_it_is_off(data):
    expected = cheap(linear(), data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        pd.testing.assert_frame_equal(cheap(linear(), data), expected, check_exact=True)


def test_a_measure_draws_from_the_stream_of_its_name_as_it_does_in_a_run(data):
    model, (x, y) = linear(), data["train"]
    part = Split(x, y, np.arange(len(y)))
    solution = Solution(model, Layout.of(model).pack(dict(model.named_parameters())))
    rows = Slice(points=3)(solution, Data(part, part, part, part, 3), Stream(0).child("measure", "slice"))
    table = cheap(model, data, [Slice(points=3)])
    assert table[table["quantity"] == "loss"]["value"].tolist() == [
        r.value for r in rows if r.quantity == "loss"
    ]


def test_a_run_id_names_the_weights_and_buffers(data):
    def run_id(model):
        return cheap(model, data, ["error"])["run_id"].unique().item()

    model = nn.Sequential(linear(), nn.BatchNorm1d(3))
    first = run_id(model)
    assert first == run_id(copy.deepcopy(model))
    model[1].running_mean[0] += 1
    assert run_id(model) != first
    model[1].running_mean[0] -= 1
    assert run_id(model) == first
    with torch.no_grad():
        model[0][0].weight[0, 0] += 1e-6
    assert run_id(model) != first


def test_every_measure_is_of_the_loss_that_is_given(data):
    """Ten times the loss makes ten times the number: rises, curvature and all."""
    measures = [
        "error",
        Slice(points=3),
        *QUICK[:2],
        Spectrum(top=2, steps=4, probes=1),
        gensweep.measures.Surface(points=2),
        gensweep.measures.HessianRatio(points=2),
        gensweep.measures.ExpectedSharpness(scales=0.01, draws=4),
        gensweep.measures.AdaptiveSharpness(rho=0.05, norm="l2", block=None, steps=2, starts=2, draws=4),
        Basin(cutoffs=0.5, directions=3, replicates=0),
    ]
    tables = [
        cheap(linear(), data, measures, loss=lambda outputs, y, t=t: t * cross_entropy(outputs, y))
        for t in (1, 10)
    ]
    nats = tables[0]["unit"].isin(["nats", "nats/weight²"]) & (tables[0]["measure"] != "basin")
    one, ten = (table.set_index(list(KEY)[1:])["value"] for table in tables)
    shared = one[nats.to_numpy()].dropna()
    shared = shared[~shared.index.get_level_values("quantity").str.startswith("kl")]
    assert set(shared.index.get_level_values(0)) == {
        "error",
        "slice",
        "perturbation",
        "box_sharpness",
        "spectrum",
        "surface",
        "expected_sharpness",
        "adaptive_sharpness",
    }
    ratio = ten[shared.index] / shared
    ratio = ratio[shared.abs() > 1e-4]
    assert ratio.between(9.9, 10.1).all(), ratio[~ratio.between(9.9, 10.1)]
    radius = one["basin"]["radius"].to_numpy(), ten["basin"]["radius"].to_numpy()
    assert (radius[1] < radius[0]).all()  # the wall is reached sooner


def test_settings_are_those_of_the_yaml_files_or_of_the_object(data, monkeypatch):
    by_name, by_object = (cheap(linear(), data, [m]) for m in ("slice", Slice()))
    pd.testing.assert_frame_equal(by_name, by_object, check_exact=True)
    assert len(cheap(linear(), data, [Slice(points=5)])) == 10
    assert gensweep.measures.Margin is Margin


def test_one_number_stands_for_a_list_of_one_and_whole_numbers_for_decimals(data):
    def same(one, other):
        pd.testing.assert_frame_equal(
            cheap(linear(), data, [one]), cheap(linear(), data, [other]), check_exact=True
        )

    same(BoxSharpness(epsilon=1, steps=1, starts=1), BoxSharpness(epsilon=[1.0], steps=1, starts=1))
    same(Perturbation(scale=np.float32(0.5), draws=4), Perturbation(scale=(0.5,), draws=np.int64(4)))
    same(
        Basin(cutoffs=1, directions=2, replicates=0),
        Basin(cutoffs=np.array([1.0]), directions=2, replicates=0),
    )


def test_without_a_test_set_there_is_no_gap(data):
    table = cheap(linear(), {"train": data["train"]}, ["error"]).set_index(["quantity", "split"])
    assert table.loc[("gap_error", ""), "status"] == "not_applicable"
    assert table.loc[("loss", "train"), "status"] == "ok"


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, lambda m: m.compile() or m])
def test_wrappers_that_change_no_output_change_no_row(wrap, data):
    expected = cheap(linear(), data, [*CHEAP, QUICK[0]])
    found = cheap(wrap(linear()), data, [*CHEAP, QUICK[0]])
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_frozen_parameters_stay_and_a_warning_counts_them(data):
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    model[0].requires_grad_(False)
    with pytest.warns(UserWarning, match="2 of 4 parameters are frozen") as caught:
        table = cheap(model, data, ["norms"])
    assert caught[0].filename == __file__
    norm = torch.cat([p.flatten() for p in model[2].parameters()]).norm().item()
    assert table[table["quantity"] == "l2_norm"]["value"].item() == pytest.approx(norm, rel=1e-6)


def test_nothing_slow_is_imported_until_it_is_needed():
    code = (
        "import sys, gensweep\n"
        "assert not {'torch', 'pandas', 'numpy', 'yaml'} & {*sys.modules}\n"
        "gensweep.measure\n"
        "assert not {'hydra', 'omegaconf', 'lightning', 'matplotlib', 'sklearn'} & {*sys.modules}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_in_gensweep_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        gensweep.mesure  # noqa: B018


def two_models(seed=1):
    def build():
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).eval()

    return [drawn(build, Stream(seed, ("model", i))) for i in (0, 1)]


POINTS = torch.from_numpy(Stream(5).normal(80)).view(20, 4)
LABELS = POINTS[:, :3].argmax(1)


def line(model, **settings):
    wanted = [Interpolation(steps=1, beyond=0, **settings)]
    return gensweep.measure(model, train=(POINTS, LABELS), measures=wanted)


def test_the_far_end_of_a_line_is_the_other_model():
    near, far = two_models()
    far[1].running_mean.fill_(0.3)
    table = line(near, other=far).query("quantity == 'loss' and split == 'train'").set_index("x")["value"]
    for x, model in ((0, near), (1, far)):
        assert table[x] == pytest.approx(
            cross_entropy(model(POINTS).double(), LABELS).mean().item(), rel=1e-6
        )


def test_models_that_differ_in_their_statistics_alone_are_two():
    near, _ = two_models()
    far = copy.deepcopy(near)
    far[1].running_var.fill_(3)
    table = line(near, other=far)
    assert (table[table["split"] == "train"]["status"] == "ok").all()


@pytest.mark.parametrize("change", ["frozen", "layer"])
def test_models_between_which_no_line_leads_are_refused(change):
    near, far = two_models()
    if change == "frozen":
        near[0].requires_grad_(False), far[0].requires_grad_(False)
    else:
        far[2] = nn.Tanh()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="differ in something that no line crosses"):
            line(near, other=far)


@pytest.mark.parametrize(
    ("measure", "sentence"),
    [
        (Interpolation(other=nn.Linear(4, 3)), "interpolation: a model in other=… has other parameters"),
        (Interpolation(other=[nn.Linear(4, 3)]), "other=… takes 'init' or another model; this is a list"),
        (Interpolation(other=None), "other=… takes 'init' or another model; this is a NoneType"),
        (Trajectory(path=[nn.Linear(4, 3)]), "trajectory: a model in path=… has other parameters"),
        (Trajectory(path=[{}]), "path=… takes a list of models; this is a list"),
    ],
)
def test_what_is_no_model_is_one_sentence_before_anything_is_measured(measure, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        gensweep.measure(two_models()[0], train=(POINTS, LABELS), measures=["error", measure])
    assert "\n" not in str(caught.value)


def test_a_path_of_earlier_models():
    first, last = two_models()
    table = gensweep.measure(last, train=(POINTS, LABELS), measures=[Trajectory(path=[first], perplexity=1)])
    distance = table.set_index("quantity")["value"]["distance"]
    a, b = (torch.cat([p.flatten() for p in m.parameters()]) for m in (first, last))
    assert distance == pytest.approx((a - b).norm().item(), rel=1e-6)
    assert "more than 2 points" in table.set_index("quantity")["reason"]["tsne_1"]


def test_a_network_whose_examples_see_each_other_is_refused():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 3))
    with pytest.raises(InputError, match="another output in another batch"):
        gensweep.measure(model, train=(POINTS, LABELS), measures=["error"])
