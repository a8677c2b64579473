"""A file is there whole or not at all, whatever call is the last one."""

import os
import shutil
from types import SimpleNamespace

import pytest

from gensweep.table.atomic import full
from gensweep.table.store import write_atomically


class NoSpace(OSError):
    pass


def refuse(*args, **kwargs):
    raise NoSpace("no space left")


def test_the_content_stands_at_the_path(tmp_path):
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["fsync", "replace", "fdopen"])
def test_a_failing_call_leaves_the_old_content_and_no_temporary_file(tmp_path, monkeypatch, call):
    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(NoSpace):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_content_is_safe_before_the_name_moves(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_atomically(tmp_path / "a", b"new")
    assert calls == ["fsync", "replace", "fsync"]  # the file, the name, the folder


def test_the_temporary_file_lies_in_the_same_folder(tmp_path, monkeypatch):
    moved = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (moved.append(os.path.dirname(a)), replace(a, b)))
    write_atomically(tmp_path / "a", b"new")
    assert moved == [str(tmp_path)]


@pytest.mark.parametrize(
    ("files", "left", "words"), [(12, 0, "as many files as it can"), (0, 0, "bytes needed")]
)
def test_a_disk_without_room_for_another_file_says_so(tmp_path, monkeypatch, files, left, words):
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_files=files, f_favail=left))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    assert words in full(tmp_path / "file", 5).strerror
