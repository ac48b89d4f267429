"""Commands in other people's surroundings: Git hooks, notebooks, other locales, outer pipelines."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.dvc_repository import PYTHON, call, make
from tests.support.study import ROOT


@pytest.mark.slow
def test_settings_in_the_environment_are_meant_for_other_programs(repository: Path) -> None:
    variables = {"JOBS": "max", "RAY_ADDRESS": "ray.example:6379", "VARIANTS": "nothing"}
    variables |= {"SEEDS": "9", "STUDY": "nowhere", "PYTHON": "/nowhere/python"}
    command = ("make", "-o", "setup", "repro")
    printed = call(repository, *command, variables=variables)
    assert printed.startswith("every stage is up to date")


@pytest.mark.slow
def test_a_study_in_a_folder_has_this_checkouts_code(repository: Path, tmp_path: Path) -> None:
    make(repository, "study", NAME="deep")
    command = ("make", "-o", "setup", "stale", "STUDY=studies/deep")
    variables = {"PYTHONPATH": str(other_modules(tmp_path))}
    assert "is stale" in call(repository, *command, status=2, variables=variables)


def test_what_a_person_ignores_everywhere_is_a_part_of_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignored").write_text("*.lock\n*.yaml\n*.csv\n*.png\nreports\nstudies\ndata\n")
    settings = tmp_path / "settings"
    settings.write_text(f"[core]\n    excludesFile = {tmp_path}/ignored\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    call(tmp_path, "git", "init", "-q")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    results = ["dvc.lock", "dvc.yaml", "params.yaml", "reports/a.png", "reports/plots/b.csv"]
    results += [f"studies/deep/{path}" for path in results]
    data = ["data/a", "models/b", "studies/deep/data/a", "studies/deep/models/b"]
    command = ["git", "check-ignore", "--no-index", *results, *data]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == data


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
    test = "tests/tools/test_review.py::test_rounding_is_no_change"
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


def leave_environment(folder: Path) -> Path:
    """Write a file that Bash reads first, which puts other programs before the environment's."""
    path = folder / "bash_env"
    path.write_text("export PATH=/usr/bin:/bin\n")
    return path


def other_modules(folder: Path) -> Path:
    """Create modules of other programs that have the names of this project's, or of libraries."""
    path = folder / "modules"
    path.mkdir()
    for name in ("tools", "stages", "vanishing", "numpy"):
        (path / f"{name}.py").write_text("raise ImportError('a module of another program')\n")
    return path


@pytest.mark.slow
def test_what_a_person_has_set_for_other_programs_changes_nothing(
    repository: Path, tmp_path: Path
) -> None:
    template = repository / "vanishing/reporting/report.md.j2"
    template.write_text(template.read_text("utf-8") + "An added line.\n", "utf-8")
    variables = {"DVC_STAGE": "theirs", "DVC_ROOT": str(repository.parent)}
    variables |= {"MPLBACKEND": "module://a_notebooks_backend", "MATPLOTLIBRC": "/nowhere"}
    variables |= {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    variables |= {"PYTHONHOME": "/usr", "PYTHONINSPECT": "1", "PYTHONOPTIMIZE": "2"}
    variables |= {"PYTHONWARNINGS": "error", "PYTHONSAFEPATH": "1"}
    variables |= {"SHELL": "/bin/false", "BASH_ENV": str(leave_environment(tmp_path))}
    variables |= {"PYTHONPATH": str(other_modules(tmp_path))}
    variables |= {"FORCE_COLOR": "1", "COLUMNS": "20", "TERM": "dumb", "MAKEFLAGS": "-j8"}
    (repository / "reports/figures/health.png").unlink()  # is drawn again
    command = ("make", "-o", "setup", "repro")
    printed = call(repository, *command, variables=variables)
    assert "render" in printed
    assert call(repository, "git", "status", "--porcelain").split() == [
        *("M", "dvc.lock"),
        *("M", "reports/README.md"),
        *("M", "vanishing/reporting/report.md.j2"),
    ]
