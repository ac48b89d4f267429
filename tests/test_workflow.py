"""The workflow: valid, without known weaknesses, and made of Make targets alone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.study import ROOT

PATH = ROOT / ".github/workflows/pipeline.yml"
WORKFLOW: dict[str, Any] = YAML(typ="safe", pure=True).load(PATH)
JOBS: dict[str, Any] = WORKFLOW["jobs"]
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)


def tool(name: str) -> str:
    """Return the path of a program of the environment that the tests run in."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None
    return found


def test_it_follows_githubs_schema() -> None:
    command = [tool("check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(PATH)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_linter_for_workflows_finds_nothing() -> None:
    command = [tool("zizmor"), "--offline", "--no-progress", str(ROOT / ".github")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("job", JOBS)
def test_every_command_is_one_make_target(job: str) -> None:
    commands = [step["run"] for step in JOBS[job]["steps"] if "run" in step]
    assert commands
    for command in commands:
        make, target = command.split(" ")
        assert make == "make"
        assert target in TARGETS


def test_a_job_has_only_the_permissions_that_it_needs() -> None:
    assert WORKFLOW["permissions"] == {}
    writing = {name: job["permissions"] for name, job in JOBS.items()}
    assert writing == {
        "test": {"contents": "read"},
        "stale": {"contents": "read"},
        "reproduce": {"contents": "write"},
        "review": {"contents": "read", "pull-requests": "write"},
    }


def test_the_code_of_a_fork_never_reaches_our_own_runner() -> None:
    triggers = WORKFLOW["on"]
    assert "pull_request_target" not in triggers
    for name, job in JOBS.items():
        if "self-hosted" in job["runs-on"] or "write" in job["permissions"].values():
            own = "github.event.pull_request.head.repo.full_name == github.repository"
            assert own in job["if"], name
