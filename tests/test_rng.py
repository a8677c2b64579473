import hashlib

import numpy as np
import pytest

from gensweep.rng import Stream

# Written down once; they must hold on every machine and for every version of NumPy.


def test_golden_integers():
    stream = Stream(7, ("golden", 1))
    assert stream.permutation(10).tolist() == [6, 1, 8, 7, 2, 3, 9, 5, 0, 4]
    assert stream.integers(10, 8).tolist() == [7, 7, 2, 5, 6, 7, 8, 5]
    assert stream.word() == 7673076960781376378
    digest = hashlib.sha256(stream.permutation(10_000).astype("<i8").tobytes()).hexdigest()
    assert digest[:16] == "0786db88cde493d6"


def test_golden_floats():
    assert Stream(7).uniform(2).tolist() == [0.43817623111495707, 0.8429828724216333]
    assert Stream(7).normal(3).tolist() == pytest.approx(
        [-1.0178378820419312, -0.499593049287796, 0.2765961289405823], rel=1e-6
    )


def test_equal_path_equal_numbers_whatever_was_drawn_before():
    Stream(3, ("a",)).raw(1000)
    assert (Stream(3, ("a",)).raw(5) == Stream(3).child("a").raw(5)).all()


@pytest.mark.parametrize("other", [Stream(4, ("a",)), Stream(3, ("b",)), Stream(3), Stream(3, ("a", 0))])
def test_other_seed_or_path_other_numbers(other):
    assert not (Stream(3, ("a",)).raw(50) == other.raw(50)).any()


def test_more_numbers_leave_the_first_alone():
    assert (Stream(1).normal(100)[:10] == Stream(1).normal(10)).all()


def test_neighbouring_seeds_are_independent():
    a, b = (np.stack([Stream(s, ("x",)).normal(4000) for s in seeds]) for seeds in (range(20), range(1, 21)))
    assert abs((a * b).mean()) < 4 / np.sqrt(a.size)


def test_uniform_is_uniform():
    u = Stream(5).uniform(20_000)
    assert u.min() >= 0
    assert u.max() < 1
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / len(u))


def test_global_generators_stay_as_they_are():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    Stream(0).normal(10)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
