"""Commands in other people's surroundings: Git hooks, notebooks, other locales, outer pipelines."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.dvc_repository import PYTHON, call
from tests.support.study import ROOT


@pytest.mark.slow
def test_settings_in_the_environment_are_meant_for_other_programs(repository: Path) -> None:
    variables = {"JOBS": "max", "RAY_ADDRESS": "ray.example:6379", "VARIANTS": "nothing"}
    variables |= {"SEEDS": "9", "STUDY": "nowhere", "PYTHON": "/nowhere/python"}
    command = ("make", "-o", "setup", "repro")
    printed = call(repository, *command, variables=variables)
    assert printed.startswith("every stage is up to date")


@pytest.mark.slow
def test_tests_that_a_git_hook_runs_leave_its_repository_alone(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.mkdir()
    call(users, "git", "init", "-q")
    call(users, "git", "commit", "-q", "--allow-empty", "-m", "theirs")
    before = call(users, "git", "log", "--all"), call(users, "git", "config", "--list", "--local")
    variables = {"GIT_DIR": str(users / ".git"), "GIT_WORK_TREE": str(users)}
    variables["GIT_INDEX_FILE"] = str(users / ".git/index")
    # This one begins a repository, commits, and reviews the commits.
    test = "tests/tools/test_review.py::test_each_changed_study_has_a_heading"
    done = subprocess.run(
        [*PYTHON, "pytest", "-p", "no:cacheprovider", test],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout
    after = call(users, "git", "log", "--all"), call(users, "git", "config", "--list", "--local")
    assert after == before


@pytest.mark.slow
def test_a_review_from_a_git_hook_is_of_its_own_repository(
    repository: Path, tmp_path: Path
) -> None:
    call(tmp_path, "git", "init", "-q", "other")
    variables = {"GIT_DIR": str(tmp_path / "other/.git"), "GIT_WORK_TREE": str(tmp_path / "other")}
    printed = call(repository, *PYTHON, "tools.review", "--base", "HEAD", variables=variables)
    assert printed.startswith("Nothing of the study differs from")


@pytest.mark.slow
def test_an_outer_pipeline_a_notebook_and_an_old_locale_change_nothing(repository: Path) -> None:
    template = repository / "vanishing/reporting/report.md.j2"
    template.write_text(template.read_text("utf-8") + "An added line.\n", "utf-8")
    variables = {"DVC_STAGE": "theirs", "DVC_ROOT": str(repository.parent)}
    variables |= {"MPLBACKEND": "module://a_notebooks_backend", "MATPLOTLIBRC": "/nowhere"}
    variables |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    (repository / "reports/figures/health.png").unlink()  # is drawn again
    command = ("make", "-o", "setup", "repro")
    printed = call(repository, *command, variables=variables)
    assert "render" in printed
    assert call(repository, "git", "status", "--porcelain").split() == [
        *("M", "dvc.lock"),
        *("M", "reports/README.md"),
        *("M", "vanishing/reporting/report.md.j2"),
    ]
