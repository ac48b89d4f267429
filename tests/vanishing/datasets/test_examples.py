"""Images and labels as tensors."""

from pathlib import Path

import torch

from vanishing.datasets import examples
from vanishing.params.diagnose import Params


def test_real_digits_are_read_and_normalised(study: Path, settings: Params) -> None:
    found = examples.load(study / "data/raw", "test", settings.data)
    assert found.images.shape == (500, 784)
    assert found.labels.shape == (500,)
    assert (found.images.min().item(), found.images.max().item()) == (-1.0, 1.0)
    assert found.labels[:5].tolist() == [7, 2, 1, 0, 4]  # as every tutorial shows them
    assert found.images.dtype == torch.float32
