"""The commit of results: a machine's, whatever a person has set for theirs.

tests/test_runner.py has a branch that moved.
"""

from pathlib import Path

import pytest

from tests.support.dvc_repository import call
from tools import publish
from vanishing.errors import StudyError


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a clone with results that are not committed, and no settings of a person."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    call(tmp_path, "git", "init", "-q", "--bare", "origin.git")
    call(tmp_path, "git", "clone", "-q", "origin.git", "checkout")
    folder = tmp_path / "checkout"
    (folder / "reports").mkdir()
    (folder / "dvc.lock").write_text("stages: {}\n")
    (folder / "reports/README.md").write_text("results\n")
    monkeypatch.chdir(folder)
    return folder


def log(checkout: Path) -> list[str]:
    """Return the author and the files of each commit of the origin's branch `topic`."""
    command = ("git", "log", "--format=%ae", "--name-only", "topic")
    return call(checkout.parent / "origin.git", *command).split()


def test_a_persons_signature_and_hooks_are_left_out(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for setting in ("commit.gpgsign=true", "gpg.program=false", "core.hooksPath=hooks"):
        call(checkout, "git", "config", *setting.split("="))
    (checkout / "hooks").mkdir()
    for name in ("pre-commit", "commit-msg"):
        hook = checkout / "hooks" / name
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
    publish.main(["topic"])
    assert capsys.readouterr().out == "topic\n"
    assert log(checkout) == ["study@localhost", "dvc.lock", "reports/README.md"]


def test_what_git_refuses_is_named_with_its_reason(checkout: Path) -> None:
    (checkout.parent / "origin.git").rename(checkout.parent / "moved.git")
    with pytest.raises(StudyError) as error:
        publish.main(["topic"])
    (line,) = str(error.value).splitlines()
    assert line.startswith("results/topic/")
    assert "cannot be pushed (git push: fatal: '" in line
    (checkout / "dvc.lock").write_text("stages: {a: {}}\n")
    (checkout / ".git/index.lock").touch()  # of another Git that works here
    with pytest.raises(StudyError, match=r"^git add: fatal: Unable to create .*index\.lock"):
        publish.main(["topic"])
