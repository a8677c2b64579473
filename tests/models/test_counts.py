"""Parameters counted to the last one, against the published numbers."""

from __future__ import annotations

import pytest
import torch

from gensweep.models.build import initialised
from gensweep.models.cnn import CNN
from gensweep.models.resnet import ResNet
from gensweep.rng import Stream


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


def test_a_depth_that_is_none_is_refused():
    with pytest.raises(ValueError, match="6n"):
        ResNet((3, 32, 32), 10, 21)


@pytest.mark.parametrize("build", [lambda: ResNet((1, 8, 8), 10, 20), lambda: CNN((1, 8, 8), 10, 4)])
def test_logits_have_a_column_per_class(build):
    model = initialised(build, Stream(0)).eval()
    logits = model(torch.ones(5, 1, 8, 8))
    assert logits.shape == (5, 10)
    assert logits.isfinite().all()


def test_shortcuts_add_their_input():
    """With its body at zero, a block hands its input through; without a shortcut nothing is left."""
    for shortcuts, expected in ((True, 1.0), (False, 0.0)):
        block = ResNet((1, 8, 8), 10, 8, shortcuts=shortcuts).features[3].eval()
        torch.nn.init.zeros_(block.body[4].weight)
        assert (block(torch.ones(2, 16, 8, 8)) == expected).all()
