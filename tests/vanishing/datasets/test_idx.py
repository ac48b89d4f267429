"""IDX files: damaged files and unexpected contents are refused."""

import struct
from pathlib import Path

import pytest

from vanishing.datasets import idx
from vanishing.errors import StudyError


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"<html>404</html>", "not an IDX file"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 5) + bytes(4), "12 bytes, but its header tells of 13"),
        (struct.pack(">BBBBI", 0, 0, 8, 1, 5) + bytes(6), "14 bytes, but its header tells of 13"),
        (struct.pack(">BBBBIII", 0, 0, 8, 3, 1, 1, 1) + bytes(1), "in 1 dimensions"),
        (struct.pack(">BBBBI", 0, 0, 13, 1, 1) + bytes(4), "unsigned bytes"),
    ],
    ids=["empty", "html", "truncated", "oversized", "images-for-labels", "floats"],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=message) as error:
        idx.read(path, dimensions=1)
    assert str(path) in str(error.value)


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="dvc repro download"):
        idx.read(tmp_path / "labels", dimensions=1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (bytes([1]), "2 images in .* but 1 labels"),
        (bytes([1, 10]), "label 10 found"),
        (bytes([1, 9]), "images of 1 × 1 pixels; those of MNIST should have 28 × 28"),
    ],
)
def test_images_and_labels_must_be_those_of_the_dataset(
    tmp_path: Path, labels: bytes, message: str
) -> None:
    folder = idx.raw_folder(tmp_path, "MNIST")
    folder.mkdir(parents=True)
    images, names = struct.pack(">BBBBIII", 0, 0, 8, 3, 2, 1, 1) + bytes(2), idx.FILES["test"]
    (folder / names[0]).write_bytes(images)
    (folder / names[1]).write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, len(labels)) + labels)
    with pytest.raises(StudyError, match=message):
        idx.read_split(tmp_path, "MNIST", "test")
