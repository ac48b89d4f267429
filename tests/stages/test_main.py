"""The runner: `python -m stages NAME`."""

import subprocess
import sys
from pathlib import Path

import pytest

from stages import __main__ as runner
from tests.support.study import ROOT, link_code, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.paths import VALIDATED
from vanishing.pipeline.lifetime import STAGE


@pytest.fixture
def under_dvc(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the runner find itself under DVC; give a list of what it does about DVC's end."""
    calls: list[str] = []
    monkeypatch.setenv(STAGE, "a stage")
    monkeypatch.setattr(runner, "end_with_dvc", lambda: calls.append("end with DVC"))
    return calls


def test_a_stage_runs_with_its_arguments(workspace: Path) -> None:
    runner.main(["validate"])
    assert (workspace / VALIDATED).exists()
    with pytest.raises(StudyError, match="no variant 'rleu'"):
        runner.main(["train", "rleu", "0"])


def test_a_stage_that_runs_too_early_says_what_is_missing_and_what_makes_it(
    workspace: Path,
) -> None:
    link_code(workspace)
    runner.main(["download"])
    with pytest.raises(StudyError, match=r"^data/fingerprints/.*: missing; run: dvc repro train@"):
        runner.main(["train", "relu", "0"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], r"no stage 'trian' \(did you mean train\?\); there are: diagnose, download, "),
        (["__main__"], "no stage '__main__'"),
        (["../tools/check"], "no stage '../tools/check'"),
        ([], "no stage ''; there are: diagnose"),
    ],
)
def test_a_stage_that_does_not_exist_is_refused(argv: list[str], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        runner.main(argv)


@pytest.mark.slow
def test_an_error_is_one_line_and_status_one(workspace: Path) -> None:
    command = [sys.executable, "-m", "stages", "extract", "relu", "7"]
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: params.yaml: no seed '7'; train.seeds has 0\n"


def test_a_python_without_the_requirements_is_named() -> None:
    command = [sys.executable, "-S", "-m", "stages", "train", "relu", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {sys.executable} has no module lazy_loader; that of `make setup` has it: source"
        " .venv/bin/activate\n"
    )


def test_under_dvc_a_stage_prepares_its_inputs_before_they_are_guarded(
    judged_copy: Path, under_dvc: list[str]
) -> None:
    content = tiny_params()
    del content["variants"]["relu"]
    write_params(judged_copy, content)
    with pytest.raises(StudyError, match=r"^data/training/relu/seed-0, .* move it elsewhere"):
        runner.main(["diagnose"])
    assert under_dvc == ["end with DVC"]


@pytest.mark.usefixtures("under_dvc")
def test_under_dvc_a_stage_is_guarded(judged_copy: Path) -> None:
    fingerprint = judged_copy / "data/fingerprints/diagnose"
    fingerprint.write_text(fingerprint.read_text() + "a.b 0\n")
    with pytest.raises(StudyError, match=r"^a\.b: edited since `fingerprint` ran"):
        runner.main(["diagnose"])
