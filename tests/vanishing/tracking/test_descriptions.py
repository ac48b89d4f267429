"""What MLflow's pages say in words."""

from typing import Any

import pytest

from tests.support.study import tiny_params
from vanishing.params.study import Study
from vanishing.tracking import descriptions
from vanishing.tracking.tags import DESCRIBED, NOTE

METRICS = {"attenuation_init": 0.000376026, "test_accuracy": 0.0974}


def make_study(seeds: list[int], **changes: Any) -> Study:
    """Return a study of `sigmoid` and of `relu` with other settings."""
    content = tiny_params()
    content["train"]["seeds"] = seeds
    content["variants"] = {
        "sigmoid": content["variants"]["sigmoid"],
        "relu": content["variants"]["relu"] | changes,
    }
    return Study.model_validate(content)


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (
            "vanishing, will not learn",
            "is vanishing (attenuation 0.000376); the network will not learn",
        ),
        ("steady, learns", "is steady (attenuation 0.000376); the network learns"),
        (
            "not finite, too early to say",
            "is not finite (attenuation 0.000376); whether the network learns is too early to say",
        ),
    ],
)
def test_a_variants_verdict_is_a_sentence(verdict: str, sentence: str) -> None:
    text = descriptions.of_variant(make_study([0]), "sigmoid", METRICS | {"verdict": verdict})
    assert text == (
        "Other variants are compared to this one.\n\n"
        f"At initialisation the gradient {sentence} (test accuracy 9.7%)."
    )


def test_an_unknown_number_is_said_to_be_none() -> None:
    metrics = {
        "attenuation_init": None,
        "test_accuracy": None,
        "verdict": "not finite, will not learn",
    }
    text = descriptions.of_variant(make_study([0]), "sigmoid", metrics)
    assert "(attenuation not finite)" in text
    assert "(test accuracy not finite)" in text


def test_differences_from_the_reference_are_named_as_in_params_yaml() -> None:
    study = make_study([0], depth=1, skip=True, init="normal", std=1.0)
    text = descriptions.of_variant(study, "relu", METRICS | {"verdict": "steady, learns"})
    assert text.startswith(
        "`sigmoid` with activation relu instead of sigmoid, depth 1 instead of 3, init normal"
        " instead of default, std 1.0 instead of none, skip true instead of false.\n\n"
    )
    same = descriptions.of_variant(
        make_study([0], activation="sigmoid"), "relu", METRICS | {"verdict": "steady, learns"}
    )
    assert same.startswith("The same network as `sigmoid`.")


def test_a_training_run_names_its_seed() -> None:
    metrics = METRICS | {"verdict": "steady, learns"}
    one = descriptions.of_run(make_study([3]), "relu", 3, metrics)
    assert one.startswith("`sigmoid` with activation relu instead of sigmoid.\n\nAt init")
    assert one.endswith("\n\nTrained with seed 3, its only seed.")
    two = descriptions.of_run(make_study([3, 4]), "relu", 3, metrics)
    assert two.endswith("\n\nTrained with seed 3, one of 2 seeds.")


def test_the_experiments_first_line_has_the_links_and_the_findings_follow() -> None:
    text = descriptions.of_experiment(make_study([0]), "7", "1234", ["*Stated.* Found."])
    first, *rest = text.splitlines()
    assert first.startswith("Does the gradient vanish? 2 networks on MNIST: [charts](#/experiments")
    assert "[report](#/experiments/7/runs/1234/artifacts/reports/README.md" in first
    assert rest[-1] == "- *Stated.* Found."
    before = descriptions.of_experiment(make_study([0]), "7", None, [])
    assert "[report]" not in before


def test_the_digest_tells_one_description_from_another() -> None:
    first, second = descriptions.tags("one"), descriptions.tags("two")
    assert first[NOTE] == "one"
    assert first[DESCRIBED] != second[DESCRIBED]
