"""The registry of image datasets that `data.dataset` in params.yaml can name."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A dataset for classification.

    Attributes:
        classes: Number of classes; the labels are 0 to `classes` - 1.
        shape: Of an input; of an image channels, rows and columns.
    """

    classes: int
    shape: tuple[int, ...]

    @property
    def inputs(self) -> int:
        """Number of elements of an input: the input features of a multilayer perceptron."""
        return math.prod(self.shape)


# Greyscale images, named as torchvision names them.
DATASETS = {
    "MNIST": Dataset(classes=10, shape=(1, 28, 28)),
    "FashionMNIST": Dataset(classes=10, shape=(1, 28, 28)),
    "KMNIST": Dataset(classes=10, shape=(1, 28, 28)),
}
