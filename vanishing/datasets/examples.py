"""Images and labels as tensors; a split is read and normalised as a whole."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vanishing.datasets import idx
from vanishing.params.study import Data


class Examples(NamedTuple):
    """Images and their labels."""

    images: Tensor  # (examples, pixels), float32, normalised
    labels: Tensor  # (examples,), int64

    def to(self, device: torch.device) -> "Examples":
        """Move both tensors to `device`."""
        return Examples(self.images.to(device), self.labels.to(device))

    def first(self, count: int) -> "Examples":
        """Return the first `count` examples."""
        return Examples(self.images[:count], self.labels[:count])


def load(root: Path, split: str, data: Data) -> Examples:
    """Read one split and normalise it: (pixel / 255 - mean) / std.

    Args:
        root: The torchvision dataset root.
        split: `train` or `test`.
        data: The dataset, and the mean and std of its pixels.

    Returns:
        The first `data.train_examples` or `data.test_examples` of the split, on the CPU.
    """
    pixels, labels = idx.read_split(root, data.dataset, split)
    count = {"train": data.train_examples, "test": data.test_examples}[split]
    pixels, labels = pixels[:count], labels[:count]
    images = torch.from_numpy(pixels.reshape(len(pixels), -1)).to(torch.float32)
    images.div_(255).sub_(data.mean).div_(data.std)
    return Examples(images, torch.from_numpy(labels).to(torch.int64))
