"""The JSON files of reports/: rounded, valid JSON, and named where they are missing."""

import json
import math
from pathlib import Path

import pytest

from vanishing.errors import StudyError
from vanishing.results import summaries


def test_numbers_are_rounded_and_what_json_has_not_is_null(tmp_path: Path) -> None:
    content = {
        "a": [1.23456789, math.nan, math.inf, 12345678.9, 3],
        "b": {"c": -math.inf, "d": "x"},
    }
    summaries.write(tmp_path / "s.json", content)
    text = (tmp_path / "s.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": [1.23457, None, None, 12345700.0, 3],
        "b": {"c": None, "d": "x"},
    }
    assert summaries.read(tmp_path / "s.json") == json.loads(text)


@pytest.mark.parametrize("text", [None, "", "{", "<<<<<<< HEAD"])
def test_a_file_that_is_missing_or_damaged_is_named_with_its_remedy(
    tmp_path: Path, text: str | None
) -> None:
    path = tmp_path / "metrics.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StudyError, match=rf"{path}: cannot be read \(.*\); run: dvc repro"):
        summaries.read(path)
