"""run.json: readable alone, and the same for one training whatever other seeds there are."""

import json
from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.params.study import Variant
from vanishing.paths import run_record
from vanishing.results import run


def test_the_record_has_the_resolved_parameters_of_one_training(study: Path) -> None:
    record = run.load("relu", 0)
    assert (record.variant, record.seed) == ("relu", 0)
    assert isinstance(record.network, Variant)
    assert (record.network.activation, record.train.optimizer.learning_rate) == ("relu", 0.01)
    assert (record.inputs, record.classes) == (784, 10)
    text = (study / run_record("relu", 0)).read_text()
    assert text.count("\n") > 20  # for people, too
    assert "seeds" not in json.loads(text)["train"]


@pytest.mark.parametrize("text", [None, "", "{}", '{"variant": 1}'])
def test_a_record_that_is_missing_or_damaged_is_named_with_its_remedy(
    workspace: Path, text: str | None
) -> None:
    path = run_record("relu", 0)
    if text is not None:
        (workspace / path).parent.mkdir(parents=True)
        path.write_text(text)
    with pytest.raises(StudyError, match=f"{path}: cannot be read .*dvc repro"):
        run.load("relu", 0)
