"""The registry of image datasets."""

from typing import get_args

from vanishing.datasets.registry import DATASETS
from vanishing.params.data import Images


def test_it_has_exactly_the_datasets_that_params_can_name() -> None:
    assert set(DATASETS) == set(get_args(Images.model_fields["dataset"].annotation))


def test_inputs_are_the_pixels_of_an_image() -> None:
    assert DATASETS["MNIST"].shape == (1, 28, 28)
    assert DATASETS["MNIST"].inputs == 784
    assert DATASETS["MNIST"].classes == 10
