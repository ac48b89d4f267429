"""The validate stage: an output that is always the same, or an error and no output."""

from pathlib import Path

import pytest

from stages import validate
from tests.support.study import tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.paths import VALIDATED


def test_the_output_is_the_same_for_all_valid_parameters(workspace: Path) -> None:
    validate.main([])
    before = VALIDATED.read_bytes(), VALIDATED.stat().st_mtime_ns
    content = tiny_params()
    content["train"]["optimizer"]["learning_rate"] = 0.5
    write_params(workspace, content)
    validate.main([])
    assert (VALIDATED.read_bytes(), VALIDATED.stat().st_mtime_ns) == before


def test_a_comparison_of_several_things_at_once_is_warned_of(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate.main([])
    assert capsys.readouterr().err == ""
    content = tiny_params()
    content["variants"]["relu"] |= {"depth": 4, "init": "normal", "std": 1.0}
    write_params(workspace, content)
    validate.main([])
    assert capsys.readouterr().err == (
        "warning: params.yaml: variants.relu: differs from sigmoid in 3 things: activation"
        " (sigmoid, here relu), depth (3, here 4), init (default, here normal), std (None, here"
        " 1.0)\n"
    )


def test_a_study_that_should_repeat_this_one_but_is_not_there_is_an_error(workspace: Path) -> None:
    write_params(workspace, tiny_params() | {"repeated_by": "studies/more/claims.json"})
    with pytest.raises(StudyError) as raised:
        validate.main([])
    assert str(raised.value) == (
        "params.yaml: repeated_by: studies/more/claims.json: cannot be read (No such file or"
        " directory)"
    )
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("section", ["data", "train", "extract", "diagnose", "variants"])
def test_every_section_is_checked_before_anything_is_written(workspace: Path, section: str) -> None:
    write_params(workspace, tiny_params() | {section: {"nonsense": 1}})
    with pytest.raises(StudyError, match=rf"params\.yaml: {section}\."):
        validate.main([])
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]
