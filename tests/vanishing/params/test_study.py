"""The sections data, train and variants: looking things up, and comparing variants."""

import pytest

from tests.support.study import BASELINE, digit_checksums, tiny_params
from vanishing.errors import StudyError
from vanishing.params.study import Study, Training, Variant


@pytest.fixture
def study() -> Study:
    """Give the tiny parameters."""
    return Study.model_validate(tiny_params())


def test_a_variant_is_looked_up_by_its_name(study: Study) -> None:
    assert study.variant("relu") is study.trained["relu"]
    message = r"no variant 'rleu' \(did you mean relu\?\); there are: sigmoid, relu, sigmoid-batch"
    with pytest.raises(StudyError, match=message):
        study.variant("rleu")


def test_a_seed_is_looked_up_by_its_text(study: Study) -> None:
    assert study.seed("0") == 0
    for text in ("1", "00", "+0", "zero", ""):
        with pytest.raises(StudyError, match=r"no seed '.*'; train\.seeds has 0$"):
            study.seed(text)


def test_the_baseline_is_the_first_variant_that_is_compared_to_no_other(study: Study) -> None:
    assert study.baseline == "sigmoid"
    variants = {name: study.variants[name] for name in ("relu", "sigmoid")}
    assert study.model_copy(update={"variants": variants}).baseline == "sigmoid"


def test_differences_are_those_of_the_networks_alone() -> None:
    baseline = Variant(**BASELINE)
    other = Variant(**BASELINE | {"depth": 4, "compare_to": "x"})
    assert other.differences(baseline) == {"depth": (3, 4)}
    assert baseline.differences(other) == {"depth": (4, 3)}
    assert baseline.differences(baseline) == {}


def test_the_same_network_at_another_depth_differs_in_nothing_else() -> None:
    baseline = Variant(**BASELINE)
    assert baseline.at_depth(9).differences(baseline) == {"depth": (3, 9)}


def test_one_training_depends_on_all_settings_but_the_other_seeds(study: Study) -> None:
    settings = study.train.of_one_seed()
    assert type(settings) is Training
    assert settings.model_dump() == study.train.model_dump(exclude={"seeds"})


@pytest.mark.parametrize(
    ("epochs", "snapshots"),
    [(1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3)), (5, (0, 1, 2, 5)), (10, (0, 1, 2, 5, 10))],
)
def test_epochs_can_be_changed_alone(epochs: int, snapshots: tuple[int, ...]) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": epochs, "snapshots": [0, 1, 2, 5, "last"]}
    assert Study.model_validate(content).train.snapshots == snapshots


def test_checksums_are_by_the_names_of_the_files(study: Study) -> None:
    assert study.data.checksums.by_file() == digit_checksums()
