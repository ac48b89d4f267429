"""Comparisons of variants: of one thing, or of several."""

from typing import Any

import pytest

from tests.support.study import ROOT, tiny_params
from vanishing.params.comparisons import impure
from vanishing.params.load import load
from vanishing.params.study import Study


def test_each_shipped_variant_differs_from_its_reference_in_one_thing() -> None:
    assert impure(load(Study, ROOT / "params.yaml")) == []


@pytest.mark.parametrize(
    ("changes", "things"),
    [
        ({}, 0),
        ({"init": "normal", "std": 1.0, "activation": "sigmoid"}, 0),  # std belongs to init
        ({"depth": 4}, 2),
        ({"depth": 4, "init": "normal", "std": 1.0}, 3),
    ],
)
def test_things_that_differ_are_counted_and_named(changes: dict[str, Any], things: int) -> None:
    content = tiny_params()
    content["variants"]["relu"] |= changes
    sentences = impure(Study.model_validate(content))
    assert len(sentences) == bool(things)
    for sentence in sentences:
        assert sentence.startswith(f"relu: differs from sigmoid in {things} things: activation (")
        assert all(f"{key} (" in sentence for key in changes)
