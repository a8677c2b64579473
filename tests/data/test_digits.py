import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gensweep.data.digits import Digits
from gensweep.rng import Stream


@pytest.fixture(scope="module")
def source():
    return Digits().load(Path(), Stream(7))


def test_shapes_and_golden_split(source):
    assert source.train_x.shape == (1300, 1, 8, 8)
    assert source.test_x.shape == (497, 1, 8, 8)
    assert source.train_x.dtype == np.uint8
    assert source.train_y.dtype == np.int64
    assert source.train_y[:10].tolist() == [0, 4, 3, 6, 2, 9, 0, 7, 6, 1]
    assert source.test_y[:10].tolist() == [0, 0, 9, 9, 4, 9, 7, 3, 2, 0]
    assert hashlib.sha256(source.test_x).hexdigest() == (
        "725aacdaa74d5aaf9a7a48ed538d8ac6df055ffcda0bd6b43aca19b1818995c9"
    )


def test_pool_and_test_are_all_digits_once(source):
    from sklearn.datasets import load_digits

    together = np.concatenate([source.train_x, source.test_x]).reshape(-1, 64)
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, load_digits().data.tolist()))


def test_the_seed_moves_nothing(source):
    other = Digits().load(Path("elsewhere"), Stream(8))
    assert np.array_equal(other.test_x, source.test_x)


def test_constants_normalise_all_pixels(source):
    x = np.concatenate([source.train_x, source.test_x])
    assert source.mean == pytest.approx([x.mean()], rel=1e-6)
    assert source.std == pytest.approx([x.std()], rel=1e-6)


def test_pool_is_known_without_scikit_learn_and_torch():
    code = (
        "import sys; from pathlib import Path; from gensweep.data.digits import Digits; "
        "import gensweep.data.images, gensweep.data.swissroll, gensweep.data.corrupt; "
        "assert Digits().pool(Path()) == (1300, None); "
        "print([m for m in ('torch', 'sklearn', 'scipy', 'pyarrow', 'PIL', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
