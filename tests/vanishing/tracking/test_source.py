"""The source that a run names: a script and a commit."""

import subprocess
from pathlib import Path

import pytest

from tests.support.study import ROOT
from vanishing.tracking import source


@pytest.mark.parametrize("stage", ["train", "initialise", "report"])
def test_a_stages_script_is_there(stage: str) -> None:
    tags = source.of_stage(stage)
    assert (ROOT / tags["mlflow.source.name"]).is_file()
    assert tags["mlflow.source.type"] == "LOCAL"


def git(*arguments: str) -> str:
    """Run Git in the working directory."""
    author = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", *author, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("study", ["", "studies/deep"])
def test_the_commit_is_named_and_whether_any_other_file_differs_than_a_stage_writes(
    study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written = ["dvc.lock", "reports/README.md", "studies/deep/dvc.lock", "studies/deep/reports/a"]
    others = ["params.yaml", "vanishing/run.py", "studies/deep/params.yaml"]
    for name in (*written, *others):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("first")
    root = "../.." if study else "."

    def tags() -> dict[str, str]:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path / study)
            return source.commit(root)

    assert tags() == {}
    git("init", "-q")
    git("config", "status.showUntrackedFiles", "no")  # a person's, for their own eyes
    assert tags() == {}  # there is no commit
    git("add", ".")
    git("commit", "-qm", "all")
    clean = {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "study.git.dirty": "false"}
    for name in (*written, "reports/figures/new.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("second")
        assert tags() == clean
    for name in (*others, "vanishing/new.py"):
        Path(name).write_text("second")
        assert tags() == clean | {"study.git.dirty": "true"}
        git("add", name)
        git("commit", "-qm", name)
        clean["mlflow.source.git.commit"] = git("rev-parse", "HEAD")
