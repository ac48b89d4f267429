"""The section extract."""

import pytest
from pydantic import ValidationError

from tests.support.study import tiny_params
from vanishing.params.extract import Extract, Measured


def test_the_sweep_begins_with_one_hidden_layer_or_more() -> None:
    content = tiny_params()["extract"]
    assert Extract.model_validate(content | {"sweep_depths": [1, 9]}).sweep_depths == (1, 9)
    with pytest.raises(ValidationError, match=r"sweep_depths: should be 1 or more each"):
        Extract.model_validate(content | {"sweep_depths": [0, 1]})


def test_it_is_read_beside_the_sections_of_a_study() -> None:
    measured = Measured.model_validate(tiny_params())
    assert measured.extract.probe_size == 200
    assert measured.train.epochs == 2
