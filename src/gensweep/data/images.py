"""MNIST, Fashion-MNIST, CIFAR-10, CIFAR-100 and SVHN from files on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gensweep.data.base import Available, Source
from gensweep.data.cache import cached
from gensweep.data.download import check_hub, fetch
from gensweep.data.facts import IMAGES, Facts
from gensweep.data.layouts import Files, Splits
from gensweep.data.readers import Arrays
from gensweep.errors import InputError, close_match
from gensweep.rng import Stream


@dataclass(frozen=True)
class Images:
    """A set of labelled images of one size, uint8 (N, C, H, W).

    Args:
        name: ``mnist``, ``fashion_mnist``, ``cifar10``, ``cifar100`` or ``svhn``.
        download: Whether to fetch the files from the Hugging Face hub when they are not there.

    Error: Exact; the files' formats lose nothing. Where a copy holds fewer images than the official one,
        the source's note says so.

    Source: The authors' own files, or their copies on the Hugging Face hub.
    """

    name: str
    download: bool = False

    def __post_init__(self) -> None:
        if self.name not in IMAGES:
            raise InputError(f"data.name={self.name} is no image data set; {close_match(self.name, IMAGES)}")

    def pool(self, data_dir: Path) -> Available:
        """How many images there are, from the files' headers; the official numbers before a download."""
        found = self._find(data_dir)
        if not found:
            check_hub(self._facts.repo)
            return Available(self._facts.sizes["train"], self._facts.sizes.get("extra"))
        counts = {split: files.count() for split, files in found.items()}  # also of those not drawn from
        return Available(counts["train"], counts.get("extra"))

    def load(self, data_dir: Path, rng: Stream) -> Source:
        """All images, from the cache where they were decoded before; ``rng`` plays no part."""
        found = self._find(data_dir)
        if not found:
            fetch(self._facts.repo, self._facts.repo_folder, data_dir / self.name)
            found = self._find(data_dir)
        if not found:
            raise InputError(self._not_found(data_dir))
        arrays = {split: self._read(split, files) for split, files in found.items()}
        extra_x, extra_y = arrays.get("extra", (None, None))
        return Source(
            *arrays["train"],
            *arrays["test"],
            num_classes=self._facts.num_classes,
            mean=np.array(self._facts.mean),
            std=np.array(self._facts.std),
            extra_x=extra_x,
            extra_y=extra_y,
            note=self._note({split: len(y) for split, (_, y) in arrays.items()}),
        )

    @property
    def _facts(self) -> Facts:
        return IMAGES[self.name]

    def _find(self, data_dir: Path) -> Splits:
        """The files; none when they are still to be fetched."""
        for layout in self._facts.layouts:
            if found := layout.find(data_dir):
                return found
        if self.download:
            return {}
        raise InputError(self._not_found(data_dir))

    def _not_found(self, data_dir: Path) -> str:
        wanted = ", ".join(name for layout in self._facts.layouts for name in layout.wanted())
        return (
            f"{self.name} is not in {data_dir.absolute()}: none of {wanted} is there; "
            "fetch it with data.download=true, or put such files there by hand."
        )

    def _read(self, split: str, files: Files) -> Arrays:
        """One split, with shapes, labels and number as the data set has them."""
        x, y = cached(files.paths, f"{self.name} {split}", files.read)
        official = self._facts.sizes[split]
        matters = {
            f"images of shape {x.shape[1:]}, not {self._facts.shape}": x.shape[1:] != self._facts.shape,
            f"labels outside 0 to {self._facts.num_classes - 1}": not _within(y, self._facts.num_classes),
            f"{len(y):,} images where {self.name} has {official:,}": len(y) > official,
        }
        for matter, true in matters.items():
            if true:
                names = " and ".join(str(path) for path in files.paths)
                raise InputError(f"{names} hold {matter}; leave only the files of {self.name} there.")
        return x, y

    def _note(self, counts: dict[str, int]) -> str:
        """What is missing, in words, or nothing."""
        words = {"train": "training", "test": "test", "extra": "extra"}
        parts = [
            f"{count:,} of {self._facts.sizes[split]:,} {words[split]}"
            for split, count in counts.items()
            if count < self._facts.sizes[split]
        ]
        return f"{self.name}: {' and '.join(parts)} images" if parts else ""


def _within(labels: np.ndarray, num_classes: int) -> bool:
    return len(labels) > 0 and labels.min() >= 0 and labels.max() < num_classes
