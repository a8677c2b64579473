import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from gensweep.data import cache


class Decoder:
    """Makes two arrays and counts how often it had to."""

    def __init__(self, seed=0):
        self.calls = 0
        random = np.random.default_rng(seed)
        self.arrays = random.integers(0, 256, (10, 1, 4, 4), dtype=np.uint8), random.integers(0, 10, 10)

    def __call__(self):
        self.calls += 1
        return self.arrays


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"encoded")
    return path


def assert_same(found, made):
    for a, b in zip(found, made, strict=True):
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype


def test_the_second_time_decodes_nothing(source, cache_folder):
    decode = Decoder()
    for _ in range(3):
        assert_same(cache.cached([source], "salt", decode), decode.arrays)
    assert decode.calls == 1
    assert sorted(path.suffix for path in cache_folder.iterdir()) == [".npy", ".npy", ".sha256", ".sha256"]


def test_what_is_changed_stays_in_the_process(source):
    decode = Decoder()
    cache.cached([source], "salt", decode)
    images, _ = cache.cached([source], "salt", decode)
    images[0] = 0
    assert_same(cache.cached([source], "salt", decode), decode.arrays)
    assert decode.calls == 1


def test_other_bytes_salts_and_orders_are_other_entries(source, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"encoded too")
    asked = [([source], "a"), ([source], "b"), ([other], "a"), ([source, other], "a"), ([other, source], "a")]
    for seed, (paths, salt) in enumerate(asked):
        decode = Decoder(seed)
        assert_same(cache.cached(paths, salt, decode), decode.arrays)
        assert decode.calls == 1


def test_the_name_of_the_file_does_not_matter(source):
    decode = Decoder()
    cache.cached([source], "salt", decode)
    cache.cached([source.rename(source.with_name("moved"))], "salt", decode)
    assert decode.calls == 1


def flip(content):
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda content: content[:50],
        lambda content: b"",
        lambda content: content + b"x",
        lambda _: b"\xff",
    ],
)
@pytest.mark.parametrize("pattern", ["*-images.npy", "*-labels.npy", "*.sha256"])
def test_a_damaged_entry_is_built_again(source, cache_folder, damage, pattern):
    decode = Decoder()
    cache.cached([source], "salt", decode)
    for entry in cache_folder.glob(pattern):
        entry.write_bytes(damage(entry.read_bytes()))
    assert_same(cache.cached([source], "salt", decode), decode.arrays)
    assert decode.calls == 2
    cache.cached([source], "salt", decode)
    assert decode.calls == 2  # for the entry is whole again


class Touch:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_a_pickle_in_the_cache_is_not_run(source, cache_folder, tmp_path):
    decode, bomb = Decoder(), tmp_path / "touched"
    cache.cached([source], "salt", decode)
    for entry in cache_folder.glob("*.npy"):
        entry.unlink()
        np.save(entry, np.array([Touch(bomb)]), allow_pickle=True)
        entry.with_suffix(".sha256").write_text(hashlib.sha256(entry.read_bytes()).hexdigest())
    assert_same(cache.cached([source], "salt", decode), decode.arrays)
    assert not bomb.exists()


def test_a_folder_that_cannot_be_written(source, monkeypatch):
    monkeypatch.setenv("GENSWEEP_CACHE", str(source / "cache"))  # source is a file
    decode = Decoder()
    for _ in range(2):
        assert_same(cache.cached([source], "salt", decode), decode.arrays)


def test_a_full_disk_leaves_nothing_behind(source, monkeypatch, cache_folder):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    decode = Decoder()
    assert_same(cache.cached([source], "salt", decode), decode.arrays)
    assert list(cache_folder.iterdir()) == []


def test_the_folder_is_the_users(monkeypatch):
    monkeypatch.delenv("GENSWEEP_CACHE")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.folder() == Path("/home/someone/.cache/gensweep")
