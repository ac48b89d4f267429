"""Images and labels from IDX files, as bytes; without torch and torchvision."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vanishing.datasets.registry import DATASETS
from vanishing.errors import StudyError

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}

Bytes = NDArray[np.uint8]

_UNSIGNED_BYTE = 0x08  # the third byte of an IDX file: the element's type


def raw_folder(root: Path, dataset: str) -> Path:
    """Return the folder of a dataset's IDX files, which is that of torchvision."""
    return root / dataset / "raw"


def read_split(root: Path, dataset: str, split: str) -> tuple[Bytes, Bytes]:
    """Read the images and labels of one split, and check them against the registry.

    Args:
        root: The torchvision dataset root.
        dataset: Its name in the registry.
        split: `train` or `test`.

    Returns:
        Images (examples, rows, columns) and labels (examples,), uint8.

    Raises:
        StudyError: If a file is missing or damaged, if there are not as many labels as images, or
            if a label or the shape of the images is not one of the dataset.
    """
    expected = DATASETS[dataset]
    images_name, labels_name = FILES[split]
    folder = raw_folder(root, dataset)
    images = read(folder / images_name, dimensions=3)
    labels = read(folder / labels_name, dimensions=1)
    if len(images) != len(labels):
        raise StudyError(
            f"{folder}: {len(images)} images in {images_name} but {len(labels)} labels in"
            f" {labels_name}; they should be as many: run dvc repro download"
        )
    if len(labels) and labels.max() >= expected.classes:
        raise StudyError(
            f"{folder / labels_name}: label {labels.max()} found; labels should be below"
            f" {expected.classes}"
        )
    if images.shape[1:] != expected.shape[1:]:
        raise StudyError(
            f"{folder / images_name}: images of {images.shape[1]} × {images.shape[2]} pixels; those"
            f" of {dataset} should have {expected.shape[1]} × {expected.shape[2]}"
        )
    return images, labels


def read(path: Path, dimensions: int) -> Bytes:
    """Read an IDX file of unsigned bytes (format: http://yann.lecun.com/exdb/mnist/).

    Args:
        path: The file, unpacked.
        dimensions: Expected number of dimensions.

    Returns:
        The array, uint8, writable.

    Raises:
        StudyError: If the file is missing, or if its header or size is wrong.
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
