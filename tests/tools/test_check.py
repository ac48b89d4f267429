"""The gate: expectations held against the study's verdicts."""

import shutil
from pathlib import Path

import pytest

from tests.support.study import tiny_params, write_params
from tools import check
from vanishing.errors import StudyError


@pytest.fixture
def judged(study_folder: Path, workspace: Path) -> Path:
    """Give a workspace with the study's reports."""
    shutil.copytree(study_folder / "reports", workspace / "reports")
    return workspace


def expect(folder: Path, **rules: bool) -> None:
    """Write params.yaml with expectations of relu."""
    write_params(folder, tiny_params() | {"expect": {"relu": rules}})


def test_expectations_that_hold_pass(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expect(judged, exploding_tensor=False, vanishing_gradient=False)
    check.main([])
    assert capsys.readouterr().out == "all 2 expectations hold\n"


def test_expectations_that_do_not_hold_fail_one_line_each(judged: Path) -> None:
    expect(judged, exploding_tensor=True, vanishing_gradient=True, all_zero=False)
    with pytest.raises(StudyError) as error:
        check.main([])
    first, second = str(error.value).splitlines()
    assert first.startswith("params.yaml: expect.relu: exploding_tensor: expected a problem")
    assert second.startswith("params.yaml: expect.relu: vanishing_gradient: expected a problem")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"relu": {"vanishing": True}}, r"expect\.relu\.vanishing: .* vanishing_gradient"),
        ({"rleu": {"overfit": True}}, r"expect\.rleu: should be a variant \(did you mean relu\?\)"),
        ({"relu": {"overfit": "yes"}}, r"expect\.relu\.overfit: .*boolean; given 'yes'"),
    ],
)
def test_an_expectation_of_nothing_is_refused(
    judged: Path, rules: dict[str, object], said: str
) -> None:
    write_params(judged, tiny_params() | {"expect": rules})
    with pytest.raises(StudyError, match=said):
        check.main([])


def test_missing_verdicts_are_named_with_the_remedy(judged: Path) -> None:
    expect(judged, overfit=False)
    (judged / "reports/health.json").write_text("[]")
    with pytest.raises(StudyError, match="lacks relu; run: dvc repro"):
        check.main([])
    (judged / "reports/health.json").unlink()
    with pytest.raises(StudyError, match=r"health\.json: cannot be read .* dvc repro"):
        check.main([])
