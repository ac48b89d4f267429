"""Inputs and labels as tensors; a split is read, and of images normalised, as a whole."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vanishing.datasets import computed, idx
from vanishing.datasets.registry import DATASETS, Dataset
from vanishing.params.data import Computed, Data, Images

SPLITS = ("train", "test")


class Examples(NamedTuple):
    """Inputs of a network and their labels."""

    inputs: Tensor  # (examples, …), float32, of images normalised; or int64
    labels: Tensor  # (examples,), int64

    def to(self, device: torch.device) -> "Examples":
        """Move both tensors to `device`."""
        return Examples(self.inputs.to(device), self.labels.to(device))

    def first(self, count: int) -> "Examples":
        """Return the first `count` examples."""
        return Examples(self.inputs[:count], self.labels[:count])


def describe(root: Path, data: Data) -> Dataset:
    """Return the number of classes and the shape of an input.

    Args:
        root: The folder of the dataset's files; those of images need not be there.
        data: The dataset.

    Returns:
        The description.
    """
    return computed.describe(root) if isinstance(data, Computed) else DATASETS[data.dataset]


def load(root: Path, split: str, data: Data) -> Examples:
    """Read the first `data.train_examples` or `data.test_examples` of one split.

    Images become (1, rows, columns), each pixel (pixel / 255 - mean) / std.

    Args:
        root: The folder of the dataset's files: of images, the torchvision dataset root.
        split: One of SPLITS.
        data: The dataset, and the mean and std of its pixels.

    Returns:
        The examples, on the CPU.
    """
    count = {"train": data.train_examples, "test": data.test_examples}[split]
    if isinstance(data, Images):
        return _normalise(*idx.read_split(root, data.dataset, split), count, data)
    return Examples(*computed.read(root, split)).first(count)


def _normalise(pixels: idx.Bytes, labels: idx.Bytes, count: int, data: Images) -> Examples:
    inputs = torch.from_numpy(pixels[:count]).to(torch.float32).unsqueeze(1)
    inputs.div_(255).sub_(data.mean).div_(data.std)
    return Examples(inputs, torch.from_numpy(labels[:count]).to(torch.int64))
