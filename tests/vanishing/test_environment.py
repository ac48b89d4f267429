"""The environment variables of a command."""

import os
import subprocess
import sys

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


def test_a_users_own_program_keeps_its_environment() -> None:
    code = "import os; before = dict(os.environ); import vanishing; assert os.environ == before"
    subprocess.run([sys.executable, "-c", code], check=True)
