"""Decoders of the image files that people have: Parquet, IDX, CIFAR batches, MATLAB.

Every reader returns images as uint8 (N, C, H, W) and labels as int64 (N,), and turns whatever a decoder
says about damaged bytes into one sentence that names the file.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from gensweep.data import pickles
from gensweep.errors import InputError

Arrays = tuple[np.ndarray, np.ndarray]

BATCH = 4096  # Parquet rows held encoded at a time


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns any failure inside into the sentence about a damaged file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damaged bytes make decoders raise nearly anything
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise InputError(
            f"{path} cannot be read ({reason}); if it is damaged or was not copied whole, "
            "delete it and fetch it again."
        ) from error


def count_parquet(paths: Sequence[Path]) -> int:
    """The number of rows, from the footers alone."""
    from pyarrow import parquet

    total = 0
    for path in paths:
        with reading(path):
            total += parquet.read_metadata(path).num_rows
    return total


def read_parquet(paths: Sequence[Path], label: str = "label") -> Arrays:
    """Encoded images in a column ``image`` or ``img``, labels in the column ``label``."""
    images: np.ndarray | None = None
    labels: list[np.ndarray] = []
    total, done = count_parquet(paths), 0
    for path in paths:
        with reading(path):
            for encoded, y in _rows(path, label):
                labels.append(y)
                for code in encoded:
                    image = _decode(code)
                    if images is None:
                        images = np.empty((total, *image.shape), dtype=np.uint8)
                    if image.shape != images.shape[1:]:
                        # Assigning would broadcast, say, a grey image over three channels.
                        raise ValueError(f"row {done} is {image.shape}, not {images.shape[1:]} as row 0")
                    images[done] = image
                    done += 1
    if images is None:
        raise InputError(f"{paths[0]} holds no images; delete it and fetch it again.")
    return images, np.concatenate(labels)


def _rows(path: Path, label: str) -> Iterator[tuple[list[bytes], np.ndarray]]:
    """Encoded images and labels, some thousand rows at a time."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        names = file.schema_arrow.names
        column = next((name for name in ("image", "img") if name in names), None)
        if column is None or label not in names:
            raise ValueError(f"columns {', '.join(names)} instead of image or img, and {label}")
        for batch in file.iter_batches(BATCH, columns=[column, label]):
            yield (
                batch.column(column).field("bytes").to_pylist(),
                batch.column(label).to_numpy().astype(np.int64),
            )


def _decode(code: bytes) -> np.ndarray:
    """One PNG or WebP image, uint8 (C, H, W)."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(code), formats=("PNG", "WEBP")))
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"an image is {image.dtype} of shape {image.shape}, not 8-bit grey or RGB")
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def count_idx(path: Path) -> int:
    """The number of examples, from the header alone."""
    with reading(path), _open(path) as file:
        return _header(file)[0]


def read_idx(images: Path, labels: Path) -> Arrays:
    """Grey images and labels in the two files of the MNIST family, plain or gzipped."""
    x, y = _idx(images), _idx(labels)
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
        raise InputError(
            f"{images} and {labels} do not belong together: their shapes are {x.shape} and {y.shape}; "
            "fetch both again."
        )
    return x[:, None].copy(), y.astype(np.int64)  # a copy, for the bytes of a file cannot be written to


def _idx(path: Path) -> np.ndarray:
    with reading(path), _open(path) as file:
        shape = _header(file)
        body = file.read()
        if len(body) != np.prod(shape, dtype=int):
            raise ValueError(f"{len(body):,} bytes of data where its header says {shape}")
        return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _header(file: IO[bytes]) -> tuple[int, ...]:
    """The shape: two zero bytes, 8 for uint8, the number of axes, then four bytes an axis."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:3] != b"\x00\x00\x08":
        raise ValueError("not an IDX file of bytes")
    axes = file.read(4 * magic[3])
    if len(axes) < 4 * magic[3]:
        raise ValueError("its header ends early")
    return tuple(np.frombuffer(axes, dtype=">u4").tolist())


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")  # type: ignore[return-value]


def read_batches(place: Path, members: Sequence[str], label: str = "labels") -> Arrays:
    """CIFAR's Python batches, from a folder or straight from the tar.gz; nothing is unpacked to disk."""
    with reading(place):
        if place.is_dir():
            parts = [_batch(place / member, (place / member).read_bytes(), label) for member in members]
        else:
            with tarfile.open(place) as archive:
                parts = [_batch(place, _member(archive, member), label) for member in members]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)  # KeyError when absent
    if file is None:
        raise ValueError(f"{name} in it is not a file")
    return file.read()


def _batch(path: Path, data: bytes, label: str) -> Arrays:
    """One batch: rows of 3 × 1,024 bytes, red, green, blue."""
    with reading(path):
        batch = pickles.load(data)
        x, y = np.asarray(batch["data"]), np.array(batch[label], dtype=np.int64)
        if x.dtype != np.uint8 or x.shape != (len(y), 3072):
            raise ValueError(f"its data is {x.dtype} of shape {x.shape} for {len(y)} labels")
        return x.reshape(-1, 3, 32, 32), y


def count_mat(path: Path) -> int:
    """The number of images, from the header of the array."""
    from scipy import io as matlab

    with reading(path):
        return {name: shape for name, shape, _ in matlab.whosmat(path)}["X"][-1]


def read_mat(path: Path) -> Arrays:
    """SVHN's cropped digits: X of shape (H, W, C, N), y of shape (N, 1) where 10 stands for the digit 0."""
    from scipy import io as matlab

    with reading(path):
        content = matlab.loadmat(path, variable_names=["X", "y"])
        x, y = content["X"], content["y"].ravel().astype(np.int64)
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] != len(y):
            raise ValueError(f"its X is {x.dtype} of shape {x.shape} for {len(y)} labels")
        return np.ascontiguousarray(x.transpose(3, 2, 0, 1)), y % 10
