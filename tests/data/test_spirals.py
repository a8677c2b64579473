from pathlib import Path

import numpy as np
import pytest

from gensweep.data.spirals import Spirals
from gensweep.errors import InputError
from gensweep.rng import Stream


def load(seed=0, **settings):
    return Spirals(**settings).load(Path(), Stream(seed))


def together(source):
    x = np.concatenate([source.train_x, source.extra_x, source.test_x])
    return x, np.concatenate([source.train_y, source.extra_y, source.test_y])


def test_golden_points():
    expected = [[-2.6973584, 6.4705634], [8.5352516, 4.1127911]]
    assert np.allclose(load().train_x[:2], expected, rtol=1e-6)
    assert load().train_y[:6].tolist() == [0, 1, 1, 0, 1, 0]


def test_the_sizes_of_the_paper():
    source = load()
    assert [len(source.train_y), len(source.extra_y), len(source.test_y)] == [132, 134, 134]
    assert Spirals().pool(Path()) == (132, 134)
    x, y = together(source)
    assert np.bincount(y).tolist() == [200, 200]
    assert len(set(map(tuple, x.tolist()))) == 400
    assert x.dtype == np.float32


def test_points_lie_on_one_and_a_half_turns():
    x, y = together(load(points_per_class=500))
    arm = x * np.where(y == 0, 1, -1)[:, None]
    angle = (np.linalg.norm(arm, axis=1) / 5) ** 2
    assert np.allclose(
        arm, 5 * np.sqrt(angle)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1), atol=1e-3
    )
    assert 0.98 * 3 * np.pi < angle.max() <= 3 * np.pi + 1e-4
    assert angle.mean() == pytest.approx(1.5 * np.pi, rel=0.06)


def test_noise_and_seed_move_the_points():
    spread = together(load(points_per_class=2000, noise=0.3))[0] - together(load(points_per_class=2000))[0]
    assert spread.std() == pytest.approx(0.3, rel=0.05)
    assert not np.array_equal(load(0).train_x, load(1).train_x)


def test_odd_numbers_add_up():
    spirals = Spirals(points_per_class=5, train_fraction=0.5)
    source = spirals.load(Path(), Stream(0))
    assert [len(source.train_y), len(source.extra_y), len(source.test_y)] == [5, 2, 3]
    assert spirals.pool(Path()) == (5, 2)


@pytest.mark.parametrize(
    "settings",
    [{"train_fraction": 1.0}, {"train_fraction": float("nan")}, {"points_per_class": 1}, {"noise": -0.1}],
)
def test_impossible_settings(settings):
    with pytest.raises(InputError, match=f"data.{next(iter(settings))}="):
        Spirals(**settings)
