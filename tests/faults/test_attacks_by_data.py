"""Data files of somebody hostile; pickled batches and arrays of objects are in tests/data."""

import io
import pickle
import tarfile

import numpy as np
import pytest
from scipy import io as matlab

from gensweep.data import readers
from gensweep.errors import InputError
from tests.faults.hostile import Boom

pytestmark = pytest.mark.fault("F10")

MEMBER = "cifar-10-batches-py/data_batch_1"


def archive(path, *members):
    """A tar.gz of (name, content), or of (name, None, the target of a link)."""
    with tarfile.open(path, "w:gz") as file:
        for name, content, *target in members:
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, target[0]
                file.addfile(info)
            else:
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "members",
    [
        [("../../hit", b"x"), (MEMBER, b"x")],
        [("/tmp/hit", b"x"), (MEMBER, b"x")],
        [(MEMBER, None, "/etc/hostname")],
        [(MEMBER, None, "../../../../etc/hostname")],
        [(MEMBER, pickle.dumps(Boom()))],
        [(MEMBER, b"\x80\x04\x82\x01.")],  # an extension code
        [(MEMBER, b"\x80\x04\x8e" + (2**60).to_bytes(8, "little"))],  # an exabyte of bytes
        [(MEMBER, b"\x80\x04K\x00" + b"\x94" * 9 + b"j\xff\xff\xff\x7f.")],  # a memo that is not there
    ],
)
def test_no_archive_runs_or_writes_anything(members, tmp_path, monkeypatch):
    (tmp_path / "below" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "below" / "here")
    place = archive(tmp_path / "cifar-10-python.tar.gz", *members)
    with pytest.raises(InputError, match="cannot be read"):
        readers.read_batches(place, [MEMBER])
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [place.name]


@pytest.mark.parametrize(
    "content",
    [pickle.dumps(Boom()), b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + b"\x0e\x00\x00\x00" * 99, b""],
)
def test_no_matlab_file_runs_anything(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train_32x32.mat").write_bytes(content)
    with pytest.raises(InputError):
        readers.read_mat(tmp_path / "train_32x32.mat")
    assert not (tmp_path / "hit").exists()


def test_objects_in_a_matlab_file_are_no_images(tmp_path):
    cells = np.empty((1, 2), dtype=object)
    cells[0, 0], cells[0, 1] = "os.system", "touch hit"
    matlab.savemat(tmp_path / "train_32x32.mat", {"X": cells, "y": np.ones((1, 1))})
    with pytest.raises(InputError, match="cannot be read"):
        readers.read_mat(tmp_path / "train_32x32.mat")


@pytest.mark.parametrize(
    "code", [b"%!PS-Adobe-3.0 EPSF-3.0\n(hit) (w) file", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\xff" * 99]
)
def test_no_picture_is_anything_else(code):
    """Pillow knows formats that start other programs."""
    with pytest.raises(Exception, match=r"cannot identify image|broken PNG"):
        readers._decode(code)
