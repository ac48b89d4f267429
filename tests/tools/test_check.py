"""The gate: expectations held against the study's verdicts."""

import shutil
from pathlib import Path

import pytest

from tests.support.study import tiny_params, write_params
from tools import check
from vanishing.errors import StudyError


@pytest.fixture
def reports_copy(judged_folder: Path, workspace: Path) -> Path:
    """Give a workspace with the study's reports, to change."""
    shutil.copytree(judged_folder / "reports", workspace / "reports")
    return workspace


def expect(folder: Path, **rules: bool) -> None:
    """Write params.yaml with expectations of relu."""
    write_params(folder, tiny_params() | {"expect": {"relu": rules}})


def test_expectations_that_hold_pass(reports_copy: Path) -> None:
    expect(reports_copy, exploding_tensor=False, vanishing_gradient=False)
    assert check.check_expectations() == 2


def test_expectations_that_do_not_hold_fail_one_line_each(reports_copy: Path) -> None:
    expect(reports_copy, exploding_tensor=True, vanishing_gradient=True, all_zero=False)
    with pytest.raises(StudyError) as error:
        check.check_expectations()
    first, second = str(error.value).splitlines()
    assert first.startswith("params.yaml: expect.relu: exploding_tensor: expected a problem")
    assert second.startswith("params.yaml: expect.relu: vanishing_gradient: expected a problem")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"relu": {"vanishing": True}}, r"expect\.relu\.vanishing: .* vanishing_gradient"),
        ({"rleu": {"overfit": True}}, r"expect\.rleu: should be a variant \(did you mean relu\?\)"),
        ({"relu": {"overfit": "yes"}}, r"expect\.relu\.overfit: .*boolean: .*; given 'yes'"),
        ({"relu": {"learning": "yes"}}, r"expect\.relu\.learning: .*learns, .*; given 'yes'"),
    ],
)
def test_an_expectation_of_an_unknown_rule_or_variant_is_refused(
    reports_copy: Path, rules: dict[str, object], message: str
) -> None:
    write_params(reports_copy, tiny_params() | {"expect": rules})
    with pytest.raises(StudyError, match=message):
        check.check_expectations()


def test_missing_verdicts_are_named_with_the_remedy(reports_copy: Path) -> None:
    expect(reports_copy, overfit=False)
    (reports_copy / "reports/health.json").write_text("[]")
    with pytest.raises(StudyError, match="lacks relu; run: make repro"):
        check.check_expectations()
    (reports_copy / "reports/health.json").unlink()
    with pytest.raises(StudyError, match=r"health\.json: cannot be read .* dvc repro"):
        check.check_expectations()
