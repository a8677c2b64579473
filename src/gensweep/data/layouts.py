"""Where image files lie: as the hub has them, or as torchvision leaves them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from gensweep.data import readers
from gensweep.data.readers import Arrays


@dataclass(frozen=True)
class Files:
    """The files of one split, and how to count and read them.

    Args:
        paths: The files, in the order of their images.
        count: The number of images; quick.
        read: Images and labels.
    """

    paths: tuple[Path, ...]
    count: Callable[[], int]
    read: Callable[[], Arrays]


Splits = dict[str, Files]  # by "train", "test" and, for SVHN, "extra"


class Layout(Protocol):
    """One way in which a data set's files may lie in a folder."""

    def wanted(self) -> list[str]:
        """What it looks for, for people, relative to the folder of all data."""
        ...

    def find(self, data_dir: Path) -> Splits:
        """The splits; "train" and "test" at least, or nothing."""
        ...


@dataclass(frozen=True)
class Hub:
    """Parquet shards ``train-*.parquet``, ``test-*.parquet`` and perhaps ``extra-*.parquet``.

    Args:
        places: Folders to look in, the first that has both train and test wins.
        label: The column of the labels.
    """

    places: tuple[str, ...]
    label: str = "label"

    def wanted(self) -> list[str]:
        """See `Layout`."""
        return [f"{place}/{{train,test}}-*.parquet" for place in self.places]

    def find(self, data_dir: Path) -> Splits:
        """See `Layout`; shards come in the order of their names."""
        for place in self.places:
            found = {split: self._split(data_dir / place, split) for split in ("train", "test", "extra")}
            if found["train"].paths and found["test"].paths:
                return {split: files for split, files in found.items() if files.paths}
        return {}

    def _split(self, folder: Path, split: str) -> Files:
        paths = tuple(sorted(folder.glob(f"{split}-*.parquet")))
        count, read = readers.count_parquet, readers.read_parquet
        return Files(paths, partial(count, paths), partial(read, paths, self.label))


@dataclass(frozen=True)
class Idx:
    """The four files of the MNIST family, each plain or gzipped.

    Args:
        places: Folders to look in.
    """

    places: tuple[str, ...]

    def wanted(self) -> list[str]:
        """See `Layout`."""
        return [f"{place}/{{train,t10k}}-{{images-idx3,labels-idx1}}-ubyte[.gz]" for place in self.places]

    def find(self, data_dir: Path) -> Splits:
        """See `Layout`."""
        for place in self.places:
            train = self._split(data_dir / place, "train")
            test = self._split(data_dir / place, "t10k")
            if train and test:
                return {"train": train, "test": test}
        return {}

    def _split(self, folder: Path, prefix: str) -> Files | None:
        stems = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
        options = [[folder / stem, folder / f"{stem}.gz"] for stem in stems]
        present = [next((path for path in pair if path.is_file()), None) for pair in options]
        images, labels = present
        if images is None or labels is None:
            return None
        count, read = readers.count_idx, readers.read_idx
        return Files((images, labels), partial(count, images), partial(read, images, labels))


@dataclass(frozen=True)
class Batches:
    """CIFAR's pickled batches, unpacked or in their archive.

    Args:
        places: Folders to look in.
        folder: The archive's one folder.
        archive: The archive's name.
        train: The training batches, in order.
        test: The test batch.
        label: The key of the labels.

    Every copy of CIFAR holds 50,000 training and 10,000 test images.
    """

    places: tuple[str, ...]
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    label: str

    def wanted(self) -> list[str]:
        """See `Layout`."""
        return [
            str(Path(place) / name) for place in self.places for name in (f"{self.folder}/", self.archive)
        ]

    def find(self, data_dir: Path) -> Splits:
        """See `Layout`."""
        for place in self.places:
            folder, archive = data_dir / place / self.folder, data_dir / place / self.archive
            if all((folder / member).is_file() for member in (*self.train, self.test)):
                return self._splits(folder, "")
            if archive.is_file():
                return self._splits(archive, f"{self.folder}/")
        return {}

    def _splits(self, source: Path, prefix: str) -> Splits:
        splits = {}
        for split, names, images in (("train", self.train, 50_000), ("test", (self.test,), 10_000)):
            paths = (source,) if prefix else tuple(source / name for name in names)
            members = [prefix + name for name in names]
            read = partial(readers.read_batches, source, members, self.label)
            splits[split] = Files(paths, partial(int, images), read)
        return splits


@dataclass(frozen=True)
class Mat:
    """SVHN's ``train_32x32.mat``, ``test_32x32.mat`` and perhaps ``extra_32x32.mat``.

    Args:
        places: Folders to look in.
    """

    places: tuple[str, ...]

    def wanted(self) -> list[str]:
        """See `Layout`."""
        return [str(Path(place) / "{train,test}_32x32.mat") for place in self.places]

    def find(self, data_dir: Path) -> Splits:
        """See `Layout`."""
        for place in self.places:
            paths = {split: data_dir / place / f"{split}_32x32.mat" for split in ("train", "test", "extra")}
            if paths["train"].is_file() and paths["test"].is_file():
                return {split: self._split(path) for split, path in paths.items() if path.is_file()}
        return {}

    def _split(self, path: Path) -> Files:
        return Files((path,), partial(readers.count_mat, path), partial(readers.read_mat, path))
