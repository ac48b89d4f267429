"""The environment variables of a command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vanishing import environment


def test_threads_wait_passively_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    environment.prepare()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    environment.prepare()
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_variables_that_concern_another_place_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment.FOREIGN:
        monkeypatch.setenv(name, "elsewhere")
    environment.prepare(is_stage=True)
    assert os.environ.keys() & environment.FOREIGN == {"DVC_ROOT", "DVC_STAGE"}
    environment.prepare()
    assert not os.environ.keys() & environment.FOREIGN


def test_python_is_this_one_for_all_that_a_command_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    environment.prepare()
    environment.prepare()
    folder = str(Path(sys.executable).parent)
    assert os.environ["PATH"].split(os.pathsep) == [folder, *os.defpath.split(os.pathsep)]


def test_every_variable_is_removed_that_git_calls_local() -> None:
    command = ["git", "rev-parse", "--local-env-vars"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) <= environment.FOREIGN


def test_a_users_own_program_keeps_its_environment() -> None:
    code = "import os; before = dict(os.environ); import vanishing; assert os.environ == before"
    subprocess.run([sys.executable, "-c", code], check=True)
