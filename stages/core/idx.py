"""Images and labels from IDX files, without torchvision: one read, one tensor."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stages.core.errors import StudyError
from stages.core.params import Data

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CLASSES = 10
_UNSIGNED_BYTE = 0x08  # the third byte of an IDX file: the element's type


class Examples(NamedTuple):
    """Images and their labels."""

    images: Tensor  # (examples, pixels), float32, normalised
    labels: Tensor  # (examples,), int64

    def to(self, device: torch.device) -> "Examples":
        """Move both tensors to `device`."""
        return Examples(self.images.to(device), self.labels.to(device))


def raw_folder(root: Path, dataset: str) -> Path:
    """Return the folder that holds a dataset's IDX files, laid out as torchvision does."""
    return root / dataset / "raw"


def load(root: Path, split: str, data: Data) -> Examples:
    """Read one split and normalise it: (pixel / 255 - mean) / std.

    Args:
        root: The torchvision dataset root.
        split: `train` or `test`.
        data: Which dataset, and its mean and std.

    Returns:
        All examples of the split, on the CPU.

    Raises:
        StudyError: If a file is missing or is not what it should be.
    """
    images_name, labels_name = FILES[split]
    folder = raw_folder(root, data.dataset)
    pixels = read(folder / images_name, dimensions=3)
    labels = read(folder / labels_name, dimensions=1)
    if len(pixels) != len(labels):
        raise StudyError(
            f"{folder}: {len(pixels)} images in {images_name} but {len(labels)} labels in"
            f" {labels_name}; they should be as many: run dvc repro download"
        )
    if len(labels) and labels.max() >= CLASSES:
        raise StudyError(
            f"{folder / labels_name}: label {labels.max()} found; labels should be below {CLASSES}"
        )
    images = torch.from_numpy(pixels.reshape(len(pixels), -1)).to(torch.float32)
    images.div_(255).sub_(data.mean).div_(data.std)
    return Examples(images, torch.from_numpy(labels).to(torch.int64))


def read(path: Path, dimensions: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes (format: http://yann.lecun.com/exdb/mnist/).

    Args:
        path: The file, unpacked.
        dimensions: How many dimensions it should have.

    Returns:
        The array, uint8, writable.

    Raises:
        StudyError: If the file is missing, or its header or size is not that of such a file.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; run dvc repro download") from None
    header = 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise StudyError(
            f"{path}: not an IDX file of unsigned bytes in {dimensions} dimensions;"
            " delete it and run dvc repro download"
        )
    shape = np.frombuffer(raw, dtype=">u4", count=dimensions, offset=4).astype(np.int64)
    if len(raw) != header + int(np.prod(shape)):
        raise StudyError(
            f"{path}: {len(raw)} bytes, but its header tells of {header + int(np.prod(shape))};"
            " delete it and run dvc repro download"
        )
    return np.frombuffer(bytearray(raw), dtype=np.uint8, offset=header).reshape(shape)
