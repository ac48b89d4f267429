"""The sections data, train and variants: looking things up, and comparing variants."""

import pytest

from tests.support.study import digit_checksums, tiny_params
from vanishing.errors import StudyError
from vanishing.params.data import Images
from vanishing.params.study import Built, Study, Training


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


def test_one_training_depends_on_all_settings_but_the_other_seeds(study: Study) -> None:
    settings = study.training("relu")
    assert type(settings) is Training
    expected = study.train.model_dump(exclude={"seeds"}) | {"snapshots": (0, 1, 2)}
    assert settings.model_dump() == expected


def test_a_variant_may_be_trained_otherwise() -> None:
    content = tiny_params()
    content["train"] |= {"clip_norm": 2.5, "snapshots": [0, 1, 5, "last"]}
    adam = {"name": "adam", "learning_rate": 0.001}
    content["variants"]["relu"] |= {"optimizer": adam, "epochs": 7, "clip_norm": "none"}
    study = Study.model_validate(content)
    assert str(study.training("relu").optimizer) == "adam, learning_rate 0.001"
    assert study.training("relu").snapshots == (0, 1, 5, 7)
    assert study.training("relu").batch_size == 100
    assert study.training("relu").clip_norm == "none"
    assert study.training("sigmoid") == study.train.of_one_seed()
    assert study.training("sigmoid").clip_norm == 2.5


@pytest.mark.parametrize(
    ("epochs", "snapshots"),
    [(1, (0, 1)), (2, (0, 1, 2)), (3, (0, 1, 2, 3)), (5, (0, 1, 2, 5)), (10, (0, 1, 2, 5, 10))],
)
def test_epochs_can_be_changed_alone(epochs: int, snapshots: tuple[int, ...]) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": epochs, "snapshots": [0, 1, 2, 5, "last"]}
    assert Study.model_validate(content).training("relu").snapshots == snapshots


def test_kinds_of_variants_are_told_apart() -> None:
    content = tiny_params()
    content["variants"]["net"] = {"network": "nets:build", "arguments": {"depth": 3}}
    content["variants"]["run"] = {"recorded": "runs/mine", "compare_to": "net"}
    study = Study.model_validate(content)
    assert list(study.perceptrons) == ["sigmoid", "relu", "sigmoid-batchnorm"]
    assert list(study.trained) == [*study.perceptrons, "net"]
    assert isinstance(study.trained["net"], Built)


def test_checksums_are_by_the_names_of_the_files(study: Study) -> None:
    assert isinstance(study.data, Images)
    assert study.data.checksums.by_file() == digit_checksums()
