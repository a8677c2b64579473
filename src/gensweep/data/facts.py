"""What is known about each image data set: where its files lie, how many images, how they are normalised."""

from __future__ import annotations

from dataclasses import dataclass

from gensweep.data.layouts import Batches, Hub, Idx, Layout, Mat


@dataclass(frozen=True)
class Facts:
    """An image data set.

    Args:
        repo: Its repository on the Hugging Face hub.
        repo_folder: The folder of its Parquet files there.
        layouts: The ways in which its files may lie, the first found wins.
        sizes: Official numbers of images by split.
        shape: Shape (C, H, W) of an image.
        num_classes: Labels run from 0 to this less one.
        mean, std: Per-channel constants in common use, in units of 0–255.
    """

    repo: str
    repo_folder: str
    layouts: tuple[Layout, ...]
    sizes: dict[str, int]
    shape: tuple[int, int, int]
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _of_255(*shares: float) -> tuple[float, ...]:
    return tuple(255 * share for share in shares)


IMAGES: dict[str, Facts] = {
    "mnist": Facts(
        repo="ylecun/mnist",
        repo_folder="mnist",
        layouts=(Hub(("mnist", "mnist/mnist")), Idx(("MNIST/raw", "mnist/raw", "mnist"))),
        sizes={"train": 60_000, "test": 10_000},
        shape=(1, 28, 28),
        num_classes=10,
        mean=_of_255(0.1307),
        std=_of_255(0.3081),
    ),
    "fashion_mnist": Facts(
        repo="zalando-datasets/fashion_mnist",
        repo_folder="fashion_mnist",
        layouts=(
            Hub(("fashion_mnist", "fashion_mnist/fashion_mnist")),
            Idx(("FashionMNIST/raw", "fashion_mnist/raw", "fashion_mnist")),
        ),
        sizes={"train": 60_000, "test": 10_000},
        shape=(1, 28, 28),
        num_classes=10,
        mean=_of_255(0.2860),
        std=_of_255(0.3530),
    ),
    "cifar10": Facts(
        repo="uoft-cs/cifar10",
        repo_folder="plain_text",
        layouts=(
            Hub(("cifar10", "cifar10/plain_text")),
            Batches(
                places=(".", "cifar10"),
                folder="cifar-10-batches-py",
                archive="cifar-10-python.tar.gz",
                train=tuple(f"data_batch_{i}" for i in range(1, 6)),
                test="test_batch",
                label="labels",
            ),
        ),
        sizes={"train": 50_000, "test": 10_000},
        shape=(3, 32, 32),
        num_classes=10,
        mean=(125.3, 123.0, 113.9),
        std=(63.0, 62.1, 66.7),
    ),
    "cifar100": Facts(
        repo="uoft-cs/cifar100",
        repo_folder="cifar100",
        layouts=(
            Hub(("cifar100", "cifar100/cifar100"), label="fine_label"),
            Batches(
                places=(".", "cifar100"),
                folder="cifar-100-python",
                archive="cifar-100-python.tar.gz",
                train=("train",),
                test="test",
                label="fine_labels",
            ),
        ),
        sizes={"train": 50_000, "test": 10_000},
        shape=(3, 32, 32),
        num_classes=100,
        mean=_of_255(0.5071, 0.4865, 0.4409),
        std=_of_255(0.2673, 0.2564, 0.2762),
    ),
    "svhn": Facts(
        repo="ufldl-stanford/svhn",
        repo_folder="cropped_digits",
        layouts=(Hub(("svhn", "svhn/cropped_digits")), Mat((".", "svhn", "SVHN"))),
        sizes={"train": 73_257, "test": 26_032, "extra": 531_131},
        shape=(3, 32, 32),
        num_classes=10,
        mean=_of_255(0.4377, 0.4438, 0.4728),
        std=_of_255(0.1980, 0.2010, 0.1970),
    ),
}
