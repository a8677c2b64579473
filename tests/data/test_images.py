"""Parquet files, made here, and the real data where a copy is at hand."""

import hashlib
import os
import sys
import types
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from gensweep.data.images import Images
from gensweep.errors import InputError

REAL = Path(os.environ.get("GENSWEEP_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))


@pytest.mark.parametrize(
    ("name", "place", "column", "format"),
    [
        ("mnist", "mnist", "image", "PNG"),
        ("fashion_mnist", "fashion_mnist/fashion_mnist", "image", "PNG"),
        ("cifar10", "cifar10/plain_text", "img", "WEBP"),
        ("svhn", "svhn/cropped_digits", "image", "WEBP"),
    ],
)
def test_parquet(tmp_path, name, place, column, format, pictures, write_parquet, load, assert_holds):
    shape = (1, 28, 28) if "mnist" in name else (3, 32, 32)
    x, y = pictures(60, shape)
    # Written in the wrong order: the order of the names counts.
    write_parquet(tmp_path / place / "train-00001-of-00002.parquet", x[20:40], y[20:40], format, column)
    write_parquet(tmp_path / place / "train-00000-of-00002.parquet", x[:20], y[:20], format, column)
    write_parquet(tmp_path / place / "test-first20-00000-of-00001.parquet", x[40:], y[40:], format, column)
    assert Images(name).pool(tmp_path) == (40, None)
    first, second = load(name, tmp_path), load(name, tmp_path)
    for source in (first, second):  # decoded, and from the cache
        assert_holds(source, (x[:40], y[:40]), (x[40:], y[40:]))
    sizes = {"cifar10": ("50,000", "10,000"), "svhn": ("73,257", "26,032")}.get(name, ("60,000", "10,000"))
    assert first.note == f"{name}: 40 of {sizes[0]} training and 20 of {sizes[1]} test images"
    assert len(first.mean) == len(first.std) == shape[0]
    assert first.extra_x is None


def test_parquet_wins_over_classic_files_and_extra_is_offered(tmp_path, pictures, write_parquet, load):
    x, y = pictures(30, (3, 32, 32))
    for i, split in enumerate(("train", "test", "extra")):
        part = slice(10 * i, 10 * i + 10)
        write_parquet(tmp_path / "svhn" / f"{split}-00000-of-00001.parquet", x[part], y[part])
    (tmp_path / "train_32x32.mat").write_bytes(b"never read")
    (tmp_path / "test_32x32.mat").write_bytes(b"never read")
    assert Images("svhn").pool(tmp_path) == (10, 10)
    source = load("svhn", tmp_path)
    assert np.array_equal(source.extra_x, x[20:])
    assert np.array_equal(source.extra_y, y[20:])
    assert "10 of 531,131 extra" in source.note


def test_cifar100_has_a_column_of_its_own(tmp_path, pictures, write_parquet, load, assert_holds):
    x, y = pictures(20, (3, 32, 32))
    for split, part in (("train", slice(10)), ("test", slice(10, 20))):
        path = tmp_path / "cifar100" / f"{split}-00000-of-00001.parquet"
        write_parquet(path, x[part], y[part] + 90, column="img", label="fine_label")
    assert_holds(load("cifar100", tmp_path), (x[:10], y[:10] + 90), (x[10:], y[10:] + 90))


def test_missing_files_are_named(tmp_path, load):
    with pytest.raises(InputError) as caught:
        Images("cifar10").pool(tmp_path)
    sentence = str(caught.value)
    for part in (
        str(tmp_path),
        "cifar10/plain_text/{train,test}-*.parquet",
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        "data.download=true",
    ):
        assert part in sentence
    with pytest.raises(InputError, match=r"data\.download=true"):
        load("cifar10", tmp_path)


def test_half_a_copy_is_no_copy(tmp_path, pictures, write_parquet):
    x, y = pictures(10, (1, 28, 28))
    write_parquet(tmp_path / "mnist" / "train-00000-of-00001.parquet", x, y)
    with pytest.raises(InputError, match="mnist is not in"):
        Images("mnist").pool(tmp_path)


def test_unknown_name():
    with pytest.raises(InputError, match=r"data.name=cifar11 is no image data set; did you mean cifar10 or"):
        Images("cifar11")


@pytest.fixture
def mnist(tmp_path, pictures, write_parquet):
    """The paths of a tiny MNIST."""
    x, y = pictures(10, (1, 28, 28))
    paths = [tmp_path / "mnist" / f"{split}-00000-of-00001.parquet" for split in ("train", "test")]
    for path in paths:
        write_parquet(path, x, y)
    return paths


@pytest.mark.parametrize("keep", [0, 3, 400, -1])
def test_truncated_parquet(tmp_path, mnist, keep, load):
    path, _ = mnist
    path.write_bytes(path.read_bytes()[:keep])
    for ask in (Images("mnist").pool, lambda folder: load("mnist", folder)):
        with pytest.raises(InputError, match=f"{path.name} cannot be read .* fetch it again") as caught:
            ask(tmp_path)
        assert "\n" not in str(caught.value)


def test_damaged_picture_in_parquet(tmp_path, mnist, load):
    path, _ = mnist
    rows = parquet.read_table(path).to_pylist()
    rows[4]["image"]["bytes"] = rows[4]["image"]["bytes"][:50]
    parquet.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(InputError, match=rf"{path.name} cannot be read"):
        load("mnist", tmp_path)


def test_pictures_of_two_kinds(tmp_path, mnist, pictures, write_parquet, load):
    path, _ = mnist
    grey, y = pictures(10, (1, 28, 28))
    write_parquet(path, [*grey[:9], np.repeat(grey[9], 3, axis=0)], y)
    with pytest.raises(InputError, match=r"row 9 is \(3, 28, 28\), not \(1, 28, 28\)"):
        load("mnist", tmp_path)


def test_another_data_set_under_this_name(tmp_path, pictures, write_parquet, load):
    x, y = pictures(10, (3, 32, 32))
    for split in ("train", "test"):
        write_parquet(tmp_path / "mnist" / f"{split}-0.parquet", x, y)
        write_parquet(tmp_path / "svhn" / f"{split}-0.parquet", x, y + 1)
    with pytest.raises(InputError, match=r"images of shape \(3, 32, 32\), not \(1, 28, 28\)"):
        load("mnist", tmp_path)
    with pytest.raises(InputError, match="labels outside 0 to 9"):
        load("svhn", tmp_path)


@pytest.mark.usefixtures("mnist")
def test_two_copies_in_one_folder(tmp_path, monkeypatch, load):
    monkeypatch.setitem(Images("mnist")._facts.sizes, "train", 9)
    with pytest.raises(InputError, match="10 images where mnist has 9"):
        load("mnist", tmp_path)


def hub(monkeypatch, snapshot_download):
    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)


def test_download(tmp_path, monkeypatch, pictures, write_parquet, load, assert_holds):
    x, y = pictures(10, (3, 32, 32))
    asked = []

    def snapshot_download(repo, repo_type, allow_patterns, local_dir):
        asked.append((repo, repo_type, allow_patterns))
        for split in ("train", "test"):
            write_parquet(Path(local_dir) / "plain_text" / f"{split}-0.parquet", x, y, column="img")

    hub(monkeypatch, snapshot_download)
    assert Images("cifar10", download=True).pool(tmp_path) == (50_000, None)
    assert asked == []  # counting fetches nothing
    for _ in range(2):
        assert_holds(load("cifar10", tmp_path, download=True), (x, y), (x, y))
    assert asked == [("uoft-cs/cifar10", "dataset", "plain_text/*.parquet")]


def test_download_without_network_or_package(tmp_path, monkeypatch, load):
    def offline(*_, **__):
        raise ConnectionError("no route to host\nand more")

    hub(monkeypatch, offline)
    with pytest.raises(InputError, match=r"ylecun/mnist could not be fetched .*\(no route to host\)"):
        load("mnist", tmp_path, download=True)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'gensweep\[hub\]'"):
        load("mnist", tmp_path, download=True)


ROWS = {"mnist": 60_000, "cifar10": 50_000, "svhn": 55_000}
TEST_PIXELS = {
    "mnist": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "cifar10": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "svhn": "8158838bf8df734f0d02585aa5edb2c38ed95f96ee012486015b47716777f9b3",
}


@pytest.mark.parametrize("name", ROWS)
def test_real_data(name):
    """Pixels of the whole test split and the rows of the training files."""
    if not (REAL / name).is_dir():
        pytest.skip(f"no copy of {name} in {REAL}; GENSWEEP_DATA names the folder")
    images = Images(name)
    assert images.pool(REAL) == (ROWS[name], None)
    x, y = images._read("test", images._find(REAL)["test"])
    pixels = np.ascontiguousarray(x.transpose(0, 2, 3, 1))  # the published hashes have the channel last
    assert hashlib.sha256(pixels).hexdigest() == TEST_PIXELS[name]
    counts = {"mnist": [980, 1135, 1032], "cifar10": [1000, 1000, 1000], "svhn": [684, 1968, 1590]}
    assert np.bincount(y)[:3].tolist() == counts[name]
