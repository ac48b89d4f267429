"""Images and labels as tensors."""

from pathlib import Path

import pytest
import torch

from tests.support.study import DIGITS, digit_checksums
from vanishing.datasets import examples
from vanishing.datasets.examples import Examples
from vanishing.datasets.idx import raw_folder
from vanishing.datasets.sources import from_folder
from vanishing.params.diagnose import Params


@pytest.fixture
def digits(tmp_path: Path, settings: Params) -> Examples:
    """Load the test images of the fixture's digits."""
    folder = raw_folder(tmp_path, "MNIST")
    folder.mkdir(parents=True)
    from_folder(str(DIGITS), folder, list(digit_checksums()))
    return examples.load(tmp_path, "test", settings.data)


def test_real_digits_are_read_and_normalised(digits: Examples) -> None:
    assert digits.inputs.shape == (500, 1, 28, 28)
    assert digits.labels.shape == (500,)
    assert (digits.inputs.min().item(), digits.inputs.max().item()) == (-1.0, 1.0)
    assert digits.labels[:5].tolist() == [7, 2, 1, 0, 4]  # as every tutorial shows them
    assert digits.inputs.dtype == torch.float32


def test_the_first_examples_are_images_with_their_labels(digits: Examples) -> None:
    first = digits.first(3)
    assert torch.equal(first.inputs, digits.inputs[:3])
    assert first.labels.tolist() == [7, 2, 1]
    assert len(digits.first(10_000).labels) == 500
