"""Parameters counted to the last one, against the published numbers."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
import yaml

from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.models.preactivation import PreActivationResNet
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream

CONF = Path(__file__).parents[2] / "conf" / "model"


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("depth", "with_shortcuts", "without"),
    [(20, 272_474, 269_722), (56, 855_770, 853_018), (110, 1_730_714, 1_727_962)],
)
def test_resnets_of_li(depth, with_shortcuts, without):
    assert count(ResNet((3, 32, 32), 10, depth)) == with_shortcuts
    assert count(ResNet((3, 32, 32), 10, depth, shortcuts=False)) == without


@pytest.mark.parametrize(("width", "millions"), [(2, 3.41), (4, 13.6)])
def test_wide_resnets_of_li(width, millions):
    assert round(count(ResNet((3, 32, 32), 10, 56, width)) / 1e6, 1 if millions > 10 else 2) == millions


@pytest.mark.parametrize("shortcuts", [True, False])
def test_channels_and_width_multiply(shortcuts):
    """Four channels at k = 4 are sixteen at k = 1, weight for weight."""
    usual, other = (
        drawn(lambda c=c, k=k: ResNet((3, 32, 32), 10, 20, k, shortcuts, c), Stream(0))
        for c, k in ((16, 1), (4, 4))
    )
    assert all(torch.equal(a, b) for a, b in zip(usual.parameters(), other.parameters(), strict=True))
    first = ResNet((3, 32, 32), 10, 8, shortcuts=shortcuts, channels=2).features[0]
    assert first.weight.shape == (2, 3, 3, 3)


def test_a_depth_that_is_none_is_refused():
    with pytest.raises(ValueError, match="6n"):
        ResNet((3, 32, 32), 10, 21)


@pytest.mark.parametrize("build", [lambda: ResNet((1, 8, 8), 10, 20), lambda: CNN((1, 8, 8), 10, 4)])
def test_logits_have_a_column_per_class(build):
    model = drawn(build, Stream(0)).eval()
    logits = model(torch.ones(5, 1, 8, 8))
    assert logits.shape == (5, 10)
    assert logits.isfinite().all()


def test_shortcuts_add_their_input():
    """With its body at zero, a block hands its input through; without a shortcut nothing is left."""
    for shortcuts, expected in ((True, 1.0), (False, 0.0)):
        block = ResNet((1, 8, 8), 10, 8, shortcuts=shortcuts).features[3].eval()
        torch.nn.init.zeros_(block.body[4].weight)
        assert (block(torch.ones(2, 16, 8, 8)) == expected).all()


# Published counts; those of VGG-16 were added up by hand.
PUBLISHED = {
    ("keskar_f1", (1, 28, 28), 10): 1_462_794,
    ("keskar_c1", (3, 32, 32), 10): 1_757_834,
    ("keskar_c2", (3, 32, 32), 10): 14_991_946,
    ("keskar_c3", (3, 32, 32), 100): 1_757_834 + 90 * 193,
    ("keskar_c4", (3, 32, 32), 100): 14_991_946 + 90 * 513,
    ("vgg9", (3, 32, 32), 10): 2_789_706,
    ("vgg_neyshabur", (3, 32, 32), 10): 4_954_186,
    ("vgg16", (3, 32, 32), 10): 15_245_130,
    ("vgg16_bn", (3, 32, 32), 10): 15_253_578,
    ("resnet20", (3, 32, 32), 10): 272_474,
    ("resnet20_preactivation", (3, 32, 32), 10): 269_722,
    ("mlp_20", (1, 28, 28), 10): 15_910,
    ("mlp_swissroll", (2,), 2): 3_614,
}


@pytest.mark.parametrize(("name", "shape", "classes", "count_"), [(*k, n) for k, n in PUBLISHED.items()])
def test_every_network_of_the_papers_has_their_number_of_parameters(name, shape, classes, count_):
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert settings.pop("name") == name
    module, _, kind = settings.pop("_target_").rpartition(".")
    build = getattr(importlib.import_module(module), kind)
    assert count(build(shape, classes, **settings)) == count_


def test_the_preactivation_net_perturbs_as_many_weights_as_the_paper_says():
    model = PreActivationResNet((3, 32, 32), 10)
    assert sum(p.numel() for p in model.parameters() if p.dim() > 1) == 268_336


@pytest.mark.parametrize(
    ("name", "knob"),
    [("keskar_c1", "dropout"), ("keskar_c2", "with_dropout"), ("vgg_neyshabur", "dropout")],
)
def test_dropout_can_be_left_out(name, knob):
    settings = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    module, _, kind = settings.pop("_target_").rpartition(".")
    del settings["name"]
    for off in (settings | {knob: 0}, settings):
        model = getattr(importlib.import_module(module), kind)((3, 32, 32), 10, **off)
        dropped = any(isinstance(m, torch.nn.Dropout) for m in model.modules())
        assert dropped == bool(off[knob])


def test_the_last_unit_adds_its_shortcut_in_the_middle_channels():
    unit = PreActivationResNet((3, 32, 32), 10).features[4].eval()
    torch.nn.init.zeros_(unit.body[3].weight)
    out = unit(torch.ones(1, 16, 8, 8))
    assert out.shape == (1, 32, 4, 4)
    assert (out[:, 8:24] == 1).all()
    assert (out[:, :8] == 0).all()
    assert (out[:, 24:] == 0).all()
