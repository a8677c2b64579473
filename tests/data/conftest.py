"""What the tests of image files share: a cache of their own, made-up pictures, files of them."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from gensweep.data.images import Images
from gensweep.rng import Stream


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("GENSWEEP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(name="pictures")
def pictures_fixture():
    return pictures


def pictures(n, shape, seed=0):
    """Random images (n, C, H, W) and labels (n,), all ten labels among the first ten."""
    x = np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)
    return x, np.arange(n) % 10


@pytest.fixture(name="write_parquet")
def write_parquet_fixture():
    return write_parquet


def write_parquet(path, x, y, format="PNG", column="image", label="label"):
    path.parent.mkdir(parents=True, exist_ok=True)
    codes = []
    for image in x:
        buffer = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
            buffer, format, lossless=True
        )
        codes.append({"bytes": buffer.getvalue(), "path": None})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    parquet.write_table(pa.table({column: pa.array(codes, kind), label: pa.array(y)}), path)


@pytest.fixture(name="load")
def load_fixture():
    return load


def load(name, folder, **settings):
    return Images(name, **settings).load(folder, Stream(0))


@pytest.fixture(name="assert_holds")
def assert_holds_fixture():
    return assert_holds


def assert_holds(source, train, test):
    for found, made in zip(
        (source.train_x, source.train_y, source.test_x, source.test_y), (*train, *test), strict=True
    ):
        assert np.array_equal(found, made)
        assert found.flags.c_contiguous
        assert found.flags.writeable  # else a tensor over it comes with a warning
    assert source.train_x.dtype == np.uint8
    assert source.train_y.dtype == np.int64
