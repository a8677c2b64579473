from pathlib import Path

import numpy as np
import pytest

from gensweep.data.swissroll import Swissroll
from gensweep.errors import InputError
from gensweep.rng import Stream


def load(seed=0, **settings):
    return Swissroll(**settings).load(Path(), Stream(seed))


def rows(x):
    return set(map(tuple, x.tolist()))


def test_golden_points():
    source = load(noise=0.0)
    assert source.train_x[0].tolist() == pytest.approx([-3.6601240, -6.8891973], rel=1e-6)
    assert source.train_x[100].tolist() == pytest.approx([-13.0463448, 7.1806045], rel=1e-6)
    assert load(mirror=True).train_x[0].tolist() == pytest.approx([-3.0092893, -12.3979940], rel=1e-5)


def test_points_without_noise_lie_on_their_arms():
    source = load(noise=0.0, points_per_class=500)
    on_arm_zero = source.train_x * np.where(source.train_y == 0, 1, -1)[:, None]
    t = np.linalg.norm(on_arm_zero, axis=1) / 1.5
    assert np.allclose(on_arm_zero, 1.5 * t[:, None] * np.stack([-np.cos(t), np.sin(t)], 1), atol=1e-4)
    # t = √U · 600°, so its mean square is half of (600°)²
    assert t.max() <= np.deg2rad(600) + 1e-5
    assert np.mean(t**2) == pytest.approx(np.deg2rad(600) ** 2 / 2, rel=0.06)


def test_noise_has_the_asked_for_spread():
    noise = load(points_per_class=2000, noise=0.5).train_x - load(points_per_class=2000, noise=0.0).train_x
    assert noise.std(axis=0) == pytest.approx([0.5, 0.5], rel=0.05)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.06


def test_sizes_types_and_pool():
    swissroll = Swissroll(points_per_class=7, test_points_per_class=5, extra_points_per_class=3)
    source = swissroll.load(Path(), Stream(0))
    assert swissroll.pool(Path()) == (14, 6)
    assert [len(source.train_x), len(source.test_x), len(source.extra_x)] == [14, 10, 6]
    assert source.train_x.dtype == np.float32
    assert source.train_y.dtype == np.int64
    assert np.bincount(source.train_y).tolist() == [7, 7]
    assert (source.mean.tolist(), source.std.tolist(), source.num_classes) == ([0.0], [1.0], 2)


def test_without_extra_points_there_is_no_extra_split():
    swissroll = Swissroll(extra_points_per_class=0)
    assert swissroll.pool(Path()) == (200, None)
    assert swissroll.load(Path(), Stream(0)).extra_y is None


def test_independent_points_have_no_twins():
    source = load()
    every = [source.train_x, source.test_x, source.extra_x]
    assert len(rows(np.concatenate(every))) == 600
    assert not rows(np.concatenate(every)) & rows(-np.concatenate(every))


def test_mirrored_twins_stand_in_train_and_test():
    source = load(mirror=True)
    assert [len(source.train_y), len(source.test_y)] == [200, 200]
    x, y = np.concatenate([source.train_x, source.test_x]), np.concatenate([source.train_y, source.test_y])
    assert np.bincount(y).tolist() == [200, 200]
    assert rows(x[y == 1]) == rows(-x[y == 0])
    across = rows(source.train_x) & rows(-source.test_x)
    assert 70 < len(across) < 130  # half of 200 points, were the split a coin each
    assert np.bincount(source.train_y).tolist() != [100, 100]


def test_more_test_points_leave_the_pool_and_the_seed_moves_it():
    assert np.array_equal(load().train_x, load(test_points_per_class=3, extra_points_per_class=9).train_x)
    assert not rows(load(0).train_x) & rows(load(1).train_x)


@pytest.mark.parametrize(
    ("setting", "value"), [("points_per_class", 0), ("noise", -1.0), ("noise", float("nan"))]
)
def test_impossible_settings(setting, value):
    with pytest.raises(InputError, match=rf"data\.{setting}={value} .* at least"):
        Swissroll(**{setting: value})
