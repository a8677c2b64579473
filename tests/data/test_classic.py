"""The files that torchvision leaves: IDX, pickled batches, MATLAB; small ones, made here."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import io as matlab

from gensweep.data.images import Images
from gensweep.errors import InputError


def idx(array):
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


def write_idx(folder, pictures, suffix=""):
    folder.mkdir(parents=True)
    pack = gzip.compress if suffix else bytes
    splits = {"train": pictures(20, (1, 28, 28)), "t10k": pictures(10, (1, 28, 28), 1)}
    for prefix, (x, y) in splits.items():
        (folder / f"{prefix}-images-idx3-ubyte{suffix}").write_bytes(pack(idx(x[:, 0])))
        (folder / f"{prefix}-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(y.astype(np.uint8))))
    return splits["train"], splits["t10k"]


def python2_batch(x, y):
    """The opcodes that Python 2 and the NumPy of 2009 wrote: byte strings, align=0, the old module path."""
    data = x.tobytes()
    return (
        b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
        b"K\x00\x85U\x01bq\x05\x87Rq\x06(K\x01" + b"K" + bytes([len(y)]) + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\nq\x07U\x02u1q\x08K\x00K\x01\x87Rq\x09(K\x03U\x01|NNN"
        b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<i", len(data)) + data + b"tb"
        b"U\x06labelsq\x0a](" + b"".join(b"K" + bytes([label]) for label in y) + b"e"
        b"U\x0bbatch_labelU\x01xu."
    )  # fmt: skip


def python3_batch(x, y):
    return pickle.dumps({"data": x.reshape(len(x), -1), "labels": y.tolist()}, protocol=2)


def batches(write, pictures):
    """Six batches of ten images as files, and the arrays to be read from them."""
    x, y = pictures(60, (3, 32, 32))
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    files = {name: write(x[10 * i : 10 * i + 10], y[10 * i : 10 * i + 10]) for i, name in enumerate(names)}
    return files, ((x[:50], y[:50]), (x[50:], y[50:]))


def test_cifar100_takes_the_fine_labels(tmp_path, pictures, load, assert_holds):
    x, y = pictures(30, (3, 32, 32))
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, part in (("train", slice(20)), ("test", slice(20, 30))):
        batch = {b"data": x[part].reshape(-1, 3072), b"coarse_labels": [19] * len(y[part])}
        (folder / name).write_bytes(pickle.dumps(batch | {b"fine_labels": (y[part] + 90).tolist()}, 2))
    assert Images("cifar100").pool(tmp_path) == (50_000, None)
    source = load("cifar100", tmp_path)
    assert_holds(source, (x[:20], y[:20] + 90), (x[20:], y[20:] + 90))
    assert source.num_classes == 100


def write_batches(folder, files):
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    for name, content in files.items():
        (folder / "cifar-10-batches-py" / name).write_bytes(content)


def write_archive(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "MNIST/raw"),
        ("mnist", "mnist/raw"),
        ("mnist", "mnist"),
        ("fashion_mnist", "FashionMNIST/raw"),
    ],
)
def test_idx(tmp_path, name, place, suffix, pictures, load, assert_holds):
    train, test = write_idx(tmp_path / place, pictures, suffix)
    assert Images(name).pool(tmp_path) == (20, None)
    assert_holds(load(name, tmp_path), train, test)
    assert_holds(load(name, tmp_path), train, test)


@pytest.mark.parametrize("write", [python2_batch, python3_batch])
@pytest.mark.parametrize("archive", [False, True])
def test_cifar_batches(tmp_path, write, archive, pictures, load, assert_holds):
    files, splits = batches(write, pictures)
    if archive:
        write_archive(tmp_path / "cifar10" / "cifar-10-python.tar.gz", files)
    else:
        write_batches(tmp_path, files)
    assert Images("cifar10").pool(tmp_path) == (50_000, None)  # a known constant: all copies are whole
    assert_holds(load("cifar10", tmp_path), *splits)
    assert not (tmp_path / "cifar10" / "cifar-10-batches-py").exists()


def test_python2_batch_is_what_the_real_unpickler_reads(pictures):
    x, y = pictures(3, (3, 32, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some versions of NumPy find the old arguments of dtype worth one
        batch = pickle.loads(python2_batch(x, y), encoding="bytes")  # noqa: S301
    assert np.array_equal(batch[b"data"], x.reshape(3, -1))


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class SystemTouch(Touch):
    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


@pytest.mark.parametrize("archive", [False, True])
@pytest.mark.parametrize("attack", [Touch, SystemTouch])
def test_a_malicious_batch_runs_nothing(tmp_path, attack, archive, pictures, load):
    files, _ = batches(python3_batch, pictures)
    bomb = tmp_path / "touched"
    files["data_batch_3"] = pickle.dumps({"data": attack(bomb), "labels": []}, protocol=2)
    if archive:
        write_archive(tmp_path / "cifar-10-python.tar.gz", files)
    else:
        write_batches(tmp_path, files)
    with pytest.raises(InputError, match=r"(data_batch_3|tar\.gz) cannot be read \(it asks to run "):
        load("cifar10", tmp_path)
    assert not bomb.exists()
    pickle.loads(files["data_batch_3"])  # noqa: S301
    assert bomb.exists()  # so the file was a live one


def test_arrays_of_objects_are_refused(tmp_path, pictures, load):
    files, _ = batches(python3_batch, pictures)
    files["test_batch"] = pickle.dumps({"data": np.array([None, {}]), "labels": [1, 2]}, protocol=2)
    write_batches(tmp_path, files)
    with pytest.raises(InputError, match=r"test_batch cannot be read \(an array of kind 'O8'"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("compressed", [False, True])
def test_mat(tmp_path, compressed, pictures, load, assert_holds):
    made = {}
    for i, split in enumerate(("train", "test", "extra")):
        x, y = made[split] = pictures(12 + i, (3, 32, 32), i)
        labels = np.where(y == 0, 10, y).astype(np.uint8)[:, None]
        content = {"X": x.transpose(2, 3, 1, 0), "y": labels}
        matlab.savemat(tmp_path / f"{split}_32x32.mat", content, do_compression=compressed)
    assert Images("svhn").pool(tmp_path) == (12, 14)
    source = load("svhn", tmp_path)
    assert_holds(source, made["train"], made["test"])
    assert np.array_equal(source.extra_x, made["extra"][0])
    assert np.array_equal(source.extra_y, made["extra"][1])


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("keep", [2, 10, 5000, -1])
def test_truncated_idx(tmp_path, suffix, keep, pictures, load):
    write_idx(tmp_path / "mnist", pictures, suffix)
    path = tmp_path / "mnist" / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=f"{path.name} cannot be read"):
        load("mnist", tmp_path)


def test_truncated_archive_and_mat(tmp_path, pictures, load):
    files, _ = batches(python3_batch, pictures)
    archive = tmp_path / "cifar-10-python.tar.gz"
    write_archive(archive, files)
    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz cannot be read"):
        load("cifar10", tmp_path)
    x, y = pictures(10, (3, 32, 32))
    for split in ("train", "test"):
        matlab.savemat(tmp_path / f"{split}_32x32.mat", {"X": x.transpose(2, 3, 1, 0), "y": y[:, None]})
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"train_32x32\.mat cannot be read"):
        load("svhn", tmp_path)
