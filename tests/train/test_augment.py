"""Crops and flips against a loop over single images."""

from __future__ import annotations

import numpy as np
import torch

from gensweep.rng import Stream
from gensweep.train.augment import PAD, crop_and_flip, cropped

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
