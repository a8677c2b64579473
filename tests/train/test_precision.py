"""Training in bfloat16: float32 weights near those of float32, measured in float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gensweep.data.base import Data, Split
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.rng import Stream
from gensweep.train.batches import Batch
from gensweep.train.layout import memory_format
from gensweep.train.protocol import Protocol
from gensweep.train.task import Task


@pytest.fixture
def pictures():
    """32 noisy colour images of two classes, the second brighter."""
    x = (100 * Stream(1).uniform(32 * 192).reshape(32, 3, 8, 8)).astype(np.uint8)
    y = np.arange(32) % 2
    x[y == 1] += 60
    split, none = Split(x, y, np.arange(32)), Split(x[:0], y[:0], np.arange(0))
    return Data(split, none, none, split, num_classes=2, mean=np.array([100.0]), std=np.array([50.0]))


def made(pictures, precision, dtype=torch.float32):
    model = drawn(lambda: CNN((3, 8, 8), 2, 4), Stream(0)).to(dtype)
    protocol = Protocol(0, 8, lambda p: torch.optim.SGD(p, lr=0.05), max_epochs=5, precision=precision)
    return Task(model, pictures, protocol, Stream(0).child("train"))


def vector(task):
    return torch.cat([p.detach().flatten() for p in task.model.parameters()])


def test_a_bfloat16_run_ends_near_the_float32_one_and_not_on_it(pictures, train):
    single, half = made(pictures, "float32"), made(pictures, "bfloat16")
    start = vector(single)
    train(single, "single")
    train(half, "half")
    apart = ((vector(single) - vector(half)).norm() / (vector(single) - start).norm()).item()
    assert 1e-4 < apart < 0.1
    assert {t.dtype for t in half.model.state_dict().values()} == {torch.float32, torch.int64}


def test_products_of_both_passes_are_in_bfloat16_and_the_objective_is_not(pictures):
    """The layers put out bfloat16 and get gradients in it; logits and loss are float32."""
    task = made(pictures, "bfloat16")
    task.setup("fit")
    seen = []
    conv = task.model.layers[4]
    conv.register_forward_hook(lambda m, given, out: seen.append(out.dtype))
    conv.register_full_backward_hook(lambda m, before, after: seen.append(after[0].dtype))
    loss = task.loss(next(iter(made_batches(task))))
    loss.backward()
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert loss.dtype == conv.weight.grad.dtype == torch.float32


def made_batches(task):
    x, y = task.splits["train"]
    yield Batch(x[:8], y[:8], x[:0], y[:0], (8, 0))


def test_evaluation_does_not_depend_on_it(pictures):
    numbers = []
    for precision in ("float32", "bfloat16"):
        task = made(pictures, precision)
        task.setup("fit")
        numbers.append(task.evaluate())
    assert numbers[0] == numbers[1]


def test_images_lie_by_pixel_where_convolutions_are_in_float32(pictures):
    for dtype, form in ((torch.float32, torch.channels_last), (torch.float64, torch.contiguous_format)):
        task = made(pictures, "float32", dtype)
        task.setup("fit")
        assert memory_format(task.model) == form
        seen = []
        task.model.layers[1].register_forward_hook(
            lambda m, given, out, form=form, seen=seen: seen.append(out.is_contiguous(memory_format=form))
        )
        task.loss(next(iter(made_batches(task))))
        task.evaluate()
        assert seen
        assert all(seen)
        assert all(p.is_contiguous() for p in task.model.parameters())
    assert memory_format(torch.nn.Linear(2, 2)) == torch.contiguous_format
