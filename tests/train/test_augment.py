"""Crops and flips against a loop over single images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning import Callback

from gensweep.data.base import Data, Split
from gensweep.models.build import drawn
from gensweep.models.cnn import CNN
from gensweep.rng import Stream
from gensweep.train.augment import PAD, crop_and_flip, cropped
from gensweep.train.protocol import Protocol
from gensweep.train.task import Task

BLACK = torch.tensor([-1.5, 0.25]).view(1, 2, 1, 1)


def images(count=5):
    return torch.arange(count * 2 * 6 * 7, dtype=torch.float32).view(count, 2, 6, 7)


def whole(*numbers):
    return torch.tensor(numbers)


def test_no_shift_and_no_flip_is_the_image():
    x = images(1)
    assert torch.equal(cropped(x, BLACK, whole(PAD), whole(PAD), whole(0)), x)
    assert torch.equal(cropped(x, BLACK, whole(PAD), whole(PAD), whole(1)), x.flip(3))


def test_a_shift_shows_the_border_in_black():
    x = images(1)
    out = cropped(x, BLACK, whole(PAD + 1), whole(PAD - 2), whole(0))
    assert torch.equal(out[:, :, :-1, 2:], x[:, :, 1:, :-2])
    assert (out[:, :, -1] == BLACK[:, :, 0]).all()
    assert (out[..., :2] == BLACK).all()


def test_every_image_of_a_batch_has_its_own_crop():
    x, rng = images(50), np.random.default_rng(0)
    down, right = (torch.from_numpy(rng.integers(0, 2 * PAD + 1, 50)) for _ in range(2))
    flip = torch.from_numpy(rng.integers(0, 2, 50))
    together = cropped(x, BLACK, down, right, flip)
    alone = [cropped(x[i : i + 1], BLACK, down[[i]], right[[i]], flip[[i]]) for i in range(50)]
    assert torch.equal(together, torch.cat(alone))


def test_the_same_step_sees_the_same_crops_and_all_of_them_occur():
    x = images(1).expand(4000, -1, -1, -1)
    first, again = (crop_and_flip(x, BLACK, Stream(0, ("step", 3))) for _ in range(2))
    assert torch.equal(first, again)
    assert len({tuple(image.flatten().tolist()) for image in first}) == 2 * (2 * PAD + 1) ** 2
    other = crop_and_flip(x, BLACK, Stream(0, ("step", 4)))
    assert not torch.equal(first, other)
    assert torch.equal(x, images(1).expand(4000, -1, -1, -1))


@pytest.fixture
def pictures():
    """Sixteen dim and sixteen bright images, raw."""
    x = (100 * Stream(1).uniform(32 * 64).reshape(32, 1, 8, 8)).astype(np.uint8)
    y = np.arange(32) % 2
    x[y == 1] += 100
    split, none = Split(x, y, np.arange(32)), Split(x[:0], y[:0], np.arange(0))
    return Data(split, none, none, split, num_classes=2, mean=np.array([100.0]), std=np.array([50.0]))


def made(pictures, augment):
    model = drawn(lambda: CNN((1, 8, 8), 2, 4), Stream(0))
    protocol = Protocol(0, 8, lambda p: torch.optim.SGD(p, lr=0.1), max_epochs=4, augment=augment)
    return Task(model, pictures, protocol, Stream(0).child("train"))


def test_training_sees_crops_and_evaluation_does_not(pictures, train, weights):
    plain, cropping = made(pictures, False), made(pictures, True)
    train(plain, "plain")
    train(cropping, "cropping")
    assert weights(plain) != weights(cropping)
    assert cropping.black.flatten().tolist() == [-2.0]
    fresh = made(pictures, True)
    fresh.setup("fit")
    again = made(pictures, False)
    again.setup("fit")
    assert fresh.evaluate() == again.evaluate()


def test_an_interrupted_augmented_training_ends_as_one_that_was_not(pictures, train, weights):
    class Stop(Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                raise KeyError("interrupted")

    straight, first, second = (made(pictures, True) for _ in range(3))
    train(straight, "straight")
    with pytest.raises(KeyError):
        train(first, "resumed", [Stop()])
    train(second, "resumed")
    assert weights(straight) == weights(second)
    buffers = [torch.cat([b.flatten() for b in task.model.buffers()]) for task in (straight, second)]
    assert torch.equal(*buffers)
