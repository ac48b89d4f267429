"""The registry of datasets: one entry for each name that `data.dataset` in params.yaml may have."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A dataset of greyscale images, named as torchvision names it.

    Attributes:
        classes: Number of classes; the labels are 0 to `classes` - 1.
        shape: Rows and columns of an image.
    """

    classes: int
    shape: tuple[int, int]

    @property
    def inputs(self) -> int:
        """Number of pixels of an image: the input features of a network."""
        return math.prod(self.shape)


DATASETS = {
    "MNIST": Dataset(classes=10, shape=(28, 28)),
    "FashionMNIST": Dataset(classes=10, shape=(28, 28)),
    "KMNIST": Dataset(classes=10, shape=(28, 28)),
}
