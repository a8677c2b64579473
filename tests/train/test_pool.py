"""Many networks' examples, each kept once."""

from pathlib import Path

import numpy as np
import torch

from gensweep.data.corrupt import draw
from gensweep.data.digits import Digits
from gensweep.rng import Stream
from gensweep.train.pool import Pool


def digits(seed):
    source = Digits().load(Path(), Stream(0))
    return draw(source, Stream(seed), train_size=90, confusion_size=11, poison_size=21)


def test_the_pool_holds_every_example_once():
    datas = [digits(seed) for seed in (7, 8, 9)]
    pool = Pool.of(datas, torch.float64)
    drawn_ones = [np.concatenate([d.train.index, d.confusion.index, d.poison.index]) for d in datas]
    assert len(pool.x) <= len(np.unique(np.concatenate(drawn_ones))) < sum(map(len, drawn_ones))
    for (places, labels), (poison, poison_labels), data in zip(pool.clean, pool.poison, datas, strict=True):
        x = np.concatenate([data.train.x, data.confusion.x])
        np.testing.assert_allclose(
            pool.x[places], ((x - data.mean) / data.std).reshape(len(x), -1), rtol=1e-12
        )
        assert labels.tolist() == [*data.train.y, *data.confusion.y]
        assert poison_labels.tolist() == data.poison.y.tolist()
        assert len(poison) == 21
