"""What cannot be measured is refused in one sentence, before any measure has run."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import gensweep
from gensweep.errors import InputError
from gensweep.measures import AdaptiveSharpness, Basin, BoxSharpness, Error, Margin, Slice


class Own(nn.Module):
    """A linear classifier whose forward pass is what a test makes of it."""

    def __init__(self, forward=None) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.5)
        self.does = forward or (lambda self, x: self.linear(x))

    def forward(self, x):
        return self.does(self, x)


X, Y = torch.linspace(-1, 1, 40).reshape(10, 4), torch.arange(10) % 3


def refused(model=None, train=(X, Y), **more) -> str:
    """The sentence; nothing may have been measured, and it may not take long."""

    def unwanted(*_):
        raise AssertionError("a measure has run")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Error, "__call__", unwanted)
        started = time.process_time()
        with pytest.raises(InputError) as caught:
            gensweep.measure(
                Own() if model is None else model, train=train, **{"measures": ["error"], **more}
            )
        assert time.process_time() - started < 1
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def with_weights(change) -> nn.Module:
    model = Own()
    with torch.no_grad():
        change(model)
    return model


def locked() -> nn.Module:
    model = Own()
    model.lock = threading.Lock()
    return model


@torch.inference_mode()
def of_inference() -> nn.Module:
    return Own()


def crash(self, x):
    raise KeyError("no such head")


def in_place(self, x):
    x /= 255
    return self.linear(x)


def replaced(dtype):
    return lambda m: setattr(m.linear, "bias", nn.Parameter(torch.zeros(3, dtype=dtype)))


MODELS = {
    "a dict": (
        Own(lambda m, x: {"logits": m.linear(x)}),
        "model returns a dict; wrap it so that it returns logits",
    ),
    "a tuple": (Own(lambda m, x: (m.linear(x), x)), "model returns a tuple; wrap it"),
    "an error": (Own(crash), "model fails on float32 of shape (10, 4): KeyError: 'no such head'"),
    "no forward": (
        nn.ModuleList([nn.Linear(4, 3)]),
        "model fails on float32 of shape (10, 4): NotImplementedError",
    ),
    "random": (
        Own(lambda m, x: F.dropout(m.linear(x))),
        "model is random in eval mode: two passes over the same",
    ),
    "in place": (Own(in_place), "model writes to its input"),
    "no parameters": (nn.Flatten(), "model has no parameters"),
    "all frozen": (Own().requires_grad_(False), "model: all its parameters are frozen (requires_grad=False)"),
    "one logit": (Own(lambda m, x: m.linear(x)[:, :1]), "not logits (N, C); one logit z makes two, (0, z)"),
    "per token": (
        Own(lambda m, x: m.linear(x)[:, None]),
        "model returns float32 of shape (10, 1, 3) for 10 examples",
    ),
    "one less": (Own(lambda m, x: m.linear(x)[1:]), "model returns float32 of shape (9, 3) for 10 examples"),
    "classes": (
        Own(lambda m, x: m.linear(x).argmax(1)),
        "model returns int64 of shape (10,) for 10 examples",
    ),
    "NaN": (
        with_weights(lambda m: m.linear.bias[1].fill_(torch.nan)),
        "model: linear.bias holds NaN or infinity",
    ),
    "infinite": (
        with_weights(lambda m: m.linear.weight[0, 0].fill_(-torch.inf)),
        "model: linear.weight holds NaN",
    ),
    "complex": (
        with_weights(replaced(torch.complex64)),
        "model: linear.bias is torch.complex64; measures need",
    ),
    "bfloat16": (
        Own().bfloat16(),
        "model: linear.weight is torch.bfloat16; measures need float32 or float64",
    ),
    "float16": (
        Own().half(),
        "model: linear.weight is torch.float16; measures need float32 or float64, for instance",
    ),
    "two types": (with_weights(replaced(torch.float64)), "model: its parameters are of float32 and float64"),
    "inference": (of_inference(), "model: its weights were made in inference mode"),
    "lazy": (nn.LazyLinear(3), "model: weight has no shape yet; run one batch through it first"),
    "nowhere": (Own().to("meta"), "model lies on meta; gensweep measures on cpu and cuda, with real weights"),
    "two places": (
        with_weights(lambda m: m.dropout.register_buffer("b", torch.zeros(1, device="meta"))),
        "model lies on several devices (cpu, meta); move it to one",
    ),
    "no module": (lambda x: x, "model is a function; give an nn.Module that maps a batch to logits"),
    "a class": (Own, "model is the class Own; give an nn.Module"),
    "not copied": (locked(), "model cannot be copied by copy.deepcopy: TypeError: cannot pickle"),
    "other inputs": (nn.Linear(5, 3), "model fails on float32 of shape (10, 4): RuntimeError: mat1 and mat2"),
}


@pytest.mark.fault("F27", "O8")
@pytest.mark.parametrize("case", MODELS)
def test_models(case):
    model, sentence = MODELS[case]
    assert sentence in refused(model)


def holed(x):
    return torch.where(torch.arange(40).reshape(10, 4) == 7, torch.nan, x)


DATA = {
    "no labels": ((X, None), "train has no labels: its y is None"),
    "inputs alone": (X, "train is float32 of shape (10, 4); give a pair (x, y)"),
    "a loader": (torch.utils.data.TensorDataset(X, Y), "train is a TensorDataset; give a pair (x, y)"),
    "lengths": ((X, Y[:9]), "train x is float32 of shape (10, 4), and its y has 9 labels"),
    "no axis": ((torch.tensor(1.0), Y), "train x is float32 of shape (), and its y has 10 labels"),
    "too large": ((X, Y + 1), "train y holds the label 3 (example 2), and the model has outputs for 0 to 2"),
    "negative": ((X, Y - 1), "train y holds the label -1 (example 0)"),
    "one-hot": ((X, F.one_hot(Y)), "train y is int64 of shape (10, 3); give whole numbers (N,)"),
    "a column": ((X, Y[:, None]), "train y is int64 of shape (10, 1); give whole numbers (N,)"),
    "decimals": ((X, Y.double()), "train y is float64 of shape (10,); give whole numbers (N,)"),
    "truth": ((X, Y > 0), "train y is bool of shape (10,); give whole numbers (N,)"),
    "empty": ((X[:0], Y[:0]), "train holds no examples"),
    "holes": ((holed(X), Y), "train x holds NaN or infinity"),
    "words": ((np.array(["a"] * 10), Y), "train x is <U1 of shape (10,), which makes no tensor"),
    "ragged": (([[1.0], [1.0, 2.0]], [0, 1]), "train x is a list, which makes no tensor"),
    "bytes": (((X * 9).byte(), Y), "model fails on uint8 of shape (10, 4)"),
}


@pytest.mark.parametrize("case", DATA)
def test_data(case):
    train, sentence = DATA[case]
    assert sentence in refused(train=train)


def test_test_sets_too():
    assert "test y holds the label 7 (example 1)" in refused(test=(X[:2], np.array([0, 7])))
    assert "test holds no examples" in refused(test=(X[:0], Y[:0]))
    assert "an example has the shape (3,) in test x and (4,) in train x" in refused(test=(X[:, :3], Y))


def coin(outputs, y):
    return F.cross_entropy(outputs, y, reduction="none") + torch.rand(len(y))


LOSSES = {
    "a scalar": (
        nn.CrossEntropyLoss(),
        "loss returns float64 of shape () for 10 examples, not one each; reduction='none'",
    ),
    "per class": (
        lambda outputs, y: outputs,
        "loss returns float64 of shape (10, 3) for 10 examples, not one each",
    ),
    "one less": (lambda outputs, y: outputs[1:, 0], "loss returns float64 of shape (9,) for 10 examples"),
    "a number": (lambda outputs, y: 1.0, "loss returns a float for 10 examples"),
    "whole": (lambda outputs, y: y, "loss returns int64 of shape (10,)"),
    "an error": (
        nn.MSELoss(reduction="none"),
        "loss fails on float64 of shape (10, 3) and int64 of shape (10,)",
    ),
    "32 bits": (
        nn.CrossEntropyLoss(weight=torch.ones(3), reduction="none"),
        "loss fails on float64 of shape (10, 3)",
    ),
    "nothing": (None, "loss fails on float64 of shape (10, 3) and int64 of shape (10,): TypeError"),
    "random": (coin, "loss is random: it gives two losses for the same outputs"),
}


@pytest.mark.parametrize("case", LOSSES)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_losses(case):
    loss, sentence = LOSSES[case]
    assert sentence in refused(loss=loss)


MEASURES = {
    "unknown": (["norm"], "measures: there is no 'norm'; did you mean norms?"),
    "a word": ("norms", "measures='norms' is not a list of names or measures; write measures=[…]"),
    "one object": (Error(), "measures=Error() is not a list"),
    "none": ([], "measures is empty; name at least one, for instance measures=['error']"),
    "twice": (["slice", Slice(points=3)], "measures: slice is there twice"),
    "a class": ([Basin], "neither a name nor an object from gensweep.measures; write Basin()"),
    "a stranger": ([len], "is neither a name nor an object from gensweep.measures"),
    "negative": (
        [Basin(cutoffs=[-1])],
        "measure.basin.cutoffs=[-1] is not a list, each of it a number in (0, inf)",
    ),
    "a fraction": ([Slice(points=2.5)], "measure.slice.points=2.5 is not a whole number, 2 or more"),
    "a word more": ([Basin(metric="l2")], "measure.basin.metric=l2 is not one of filter, layer, euclidean"),
    "two lengths": (
        [AdaptiveSharpness(rho=0.05)],
        "measure.adaptive_sharpness.rho=[0.05] needs one number for each",
    ),
    "inside out": ([Basin(min_radius=20)], "measure.basin.min_radius=20.0 must be below"),
    "one value twice": (
        [BoxSharpness(epsilon=[1, 1.0])],
        "measure.box_sharpness.epsilon=[1.0, 1.0] names a value twice",
    ),
    "no list": ([Margin(quantiles=None)], "measure.margin.quantiles=[None] is not a list"),
}


@pytest.mark.parametrize("case", MEASURES)
def test_measures(case):
    measures, sentence = MEASURES[case]
    assert sentence in refused(measures=measures)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, True])
def test_seeds(seed):
    assert f"seed={seed} is not a whole number, 0 or more" in refused(seed=seed)


def test_what_is_odd_but_sound_is_measured():
    """Labels of any width, inputs that torch cannot take as they lie, a wider type, a generator."""
    x, y = X.numpy()[::-1], Y.numpy()[::-1].astype(np.uint8)
    x.flags.writeable = False
    expected = gensweep.measure(model := Own(), train=(X.flip(0), Y.flip(0)), measures=["error"])
    for pair in ((x, y), (x.tolist(), y.tolist()), (X.flip(0).double(), Y.flip(0).int()), [x, y]):
        found = gensweep.measure(model, train=pair, measures=(m for m in [Error()]), seed=np.int64(0))
        assert found.equals(expected)
