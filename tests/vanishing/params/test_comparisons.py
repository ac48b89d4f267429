"""Comparisons of variants: of one thing, or of several."""

from typing import Any

import pytest

from tests.support.study import ROOT, tiny_params
from vanishing.params.comparisons import differences, impure
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


def test_differences_are_named_by_their_settings_whoever_sets_them() -> None:
    content = tiny_params()
    variants = content["variants"]
    sgd = content["train"]["optimizer"]
    variants["same"] = variants["sigmoid"] | {"optimizer": dict(sgd), "compare_to": "sigmoid"}
    variants["slow"] = variants["same"] | {"optimizer": sgd | {"learning_rate": 0.001}}
    adam = {"name": "adam", "learning_rate": 0.001}
    variants["adam"] = variants["same"] | {"optimizer": adam, "clip_norm": 1.0}
    variants["other"] = {"network": "nets:build", "compare_to": "sigmoid", "batch_size": 7}
    variants["wide"] = {"network": "nets:build", "arguments": {"width": 9}, "compare_to": "other"}
    study = Study.model_validate(content)
    assert differences(study, "sigmoid") == {}
    assert differences(study, "same") == {}
    assert differences(study, "relu") == {"activation": ("sigmoid", "relu")}
    assert differences(study, "slow") == {"optimizer.learning_rate": (0.01, 0.001)}
    assert differences(study, "adam") == {
        "optimizer": ("sgd, learning_rate 0.01, momentum 0.9", "adam, learning_rate 0.001"),
        "clip_norm": ("none", 1.0),
    }
    assert differences(study, "other") == {
        "network": (None, "nets:build"),
        "batch_size": (100, 7),
    }
    assert differences(study, "wide") == {"arguments.width": (None, 9), "batch_size": (7, 100)}
    assert [sentence.split(":")[0] for sentence in impure(study)] == ["adam", "other", "wide"]
