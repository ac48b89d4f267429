"""The examples of the zoo, cached in memory, and what may be wrong with them.

MNIST is read from data/raw as the study reads it: the first 4,000 training and 1,000 test images.
Shrunk to 8 × 8 pixels and to as few images as the digits below have, it serves development alone.
The handwritten digits of scikit-learn come with it, 1,797 images of 8 × 8 pixels: 1,297 for
training, 500 for the test, drawn once. Inputs are (images, 1, rows, columns), in [-1, 1].
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from vanishing.datasets import idx
from vanishing.datasets.examples import Examples
from vanishing.paths import RAW
from vanishing.seeds import generator

TRAIN_IMAGES, TEST_IMAGES = 4_000, 1_000
_TRAIN_DIGITS, _TEST_DIGITS = 1_297, 500
_MARGIN, _WINDOW = 2, 3  # pixels: 28 × 28 without its margin is 24 × 24, of windows 8 × 8
_WHITE = 16  # the largest pixel of scikit-learn's digits
_MIDDLE = 0.5  # pixels in [0, 1] become (pixel - 0.5) / 0.5, as in params.yaml
_OFFSET = 10.0  # of inputs in [-1, 1]
_NAN_IMAGES = 4  # of 4,000: an epoch meets them


class Dataset(NamedTuple):
    """The examples of a dataset."""

    train: Examples
    test: Examples

    @property
    def side(self) -> int:
        """Rows of an image."""
        return self.train.inputs.shape[-1]

    @property
    def largest_class(self) -> float:
        """Share of the largest class among the test labels: the best constant answer."""
        return float(self.test.labels.bincount().max()) / len(self.test.labels)


@cache
def load(name: str) -> Dataset:
    """Read a dataset, `mnist`, `mnist-8x8` or `digits`, once per process."""
    return {"mnist": _read_mnist, "mnist-8x8": _shrink_mnist, "digits": _read_digits}[name]()


@cache
def digest(name: str) -> str:
    """Return the SHA-256 of a dataset's tensors."""
    sha = hashlib.sha256()
    for split in load(name):
        for tensor in split:
            sha.update(tensor.numpy().tobytes())
    return sha.hexdigest()


def _read_mnist() -> Dataset:
    counts = {"train": TRAIN_IMAGES, "test": TEST_IMAGES}
    splits = []
    for split, count in counts.items():
        pixels, labels = idx.read_split(RAW, "MNIST", split)
        inputs = torch.from_numpy(pixels[:count]).to(torch.float32).unsqueeze(1) / 255
        splits.append(
            Examples(_normalise(inputs), torch.from_numpy(labels[:count]).to(torch.int64))
        )
    return Dataset(*splits)


def _shrink_mnist() -> Dataset:
    whole = load("mnist")
    counts = (_TRAIN_DIGITS, _TEST_DIGITS)
    inside = slice(_MARGIN, -_MARGIN)
    splits = [
        Examples(avg_pool2d(split.inputs[:count, :, inside, inside], _WINDOW), split.labels[:count])
        for split, count in zip(whole, counts, strict=True)
    ]
    return Dataset(*splits)


def _read_digits() -> Dataset:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - its import takes a second

    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(pixels.astype(np.float32)).reshape(-1, 1, 8, 8) / _WHITE
    # Its order is that of the writers: drawn, so that training and test have the same.
    order = torch.randperm(len(inputs), generator=generator(0, "zoo digits"))
    inputs = _normalise(inputs[order])
    classes = torch.from_numpy(labels.astype(np.int64))[order]
    return Dataset(
        Examples(inputs[_TEST_DIGITS:], classes[_TEST_DIGITS:]),
        Examples(inputs[:_TEST_DIGITS], classes[:_TEST_DIGITS]),
    )


def _normalise(pixels: Tensor) -> Tensor:
    return (pixels - _MIDDLE) / _MIDDLE


def _unscaled(dataset: Dataset, _rng: Generator) -> Dataset:
    """Give pixels from 0 to 255, in training and test, as one who forgot to scale them."""
    return _inputs(dataset, lambda inputs: 255 * (inputs * _MIDDLE + _MIDDLE))


def _offset(dataset: Dataset, _rng: Generator) -> Dataset:
    return _inputs(dataset, lambda inputs: inputs + _OFFSET)


def _scaled_twice(dataset: Dataset, _rng: Generator) -> Dataset:
    """Divide by 255 once more."""
    return _inputs(dataset, lambda inputs: inputs / 255)


def _nan(dataset: Dataset, rng: Generator) -> Dataset:
    inputs = dataset.train.inputs.clone()
    rows = torch.randperm(len(inputs), generator=rng)[:_NAN_IMAGES]
    inputs[rows, 0, 0, 0] = torch.nan
    return dataset._replace(train=dataset.train._replace(inputs=inputs))


def _shuffled(dataset: Dataset, rng: Generator) -> Dataset:
    labels = dataset.train.labels
    return _labels(dataset, labels[torch.randperm(len(labels), generator=rng)])


def _half_shuffled(dataset: Dataset, rng: Generator) -> Dataset:
    labels = dataset.train.labels.clone()
    rows = torch.randperm(len(labels), generator=rng)[: len(labels) // 2]
    labels[rows] = labels[rows[torch.randperm(len(rows), generator=rng)]]
    return _labels(dataset, labels)


def _misaligned(dataset: Dataset, _rng: Generator) -> Dataset:
    """Give each image the label of the next."""
    return _labels(dataset, dataset.train.labels.roll(-1))


def _inputs(dataset: Dataset, change: Callable[[Tensor], Tensor]) -> Dataset:
    return Dataset(*(split._replace(inputs=change(split.inputs)) for split in dataset))


def _labels(dataset: Dataset, labels: Tensor) -> Dataset:
    return dataset._replace(train=dataset.train._replace(labels=labels))


DEFECTS: Mapping[str, Callable[[Dataset, Generator], Dataset]] = {
    "unscaled": _unscaled,
    "offset": _offset,
    "scaled-twice": _scaled_twice,
    "nan": _nan,
    "shuffled-labels": _shuffled,
    "half-shuffled-labels": _half_shuffled,
    "misaligned-labels": _misaligned,
}
