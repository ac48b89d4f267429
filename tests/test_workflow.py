"""The workflow: valid, without known weaknesses, and made of Make targets alone."""

import os
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
    path = shutil.which(name, path=str(Path(sys.executable).parent))
    assert path is not None
    return path


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
        make, target, *settings = command.split(" ")
        assert make == "make"
        assert target in TARGETS
        for setting in settings:  # text of others stays in variables, which no shell reads as code
            assert re.fullmatch(r'([A-Z_]+)=("\$\1"|\d)', setting), setting


def test_a_job_has_only_the_permissions_that_it_needs() -> None:
    assert WORKFLOW["permissions"] == {}
    writing = {name: job["permissions"] for name, job in JOBS.items()}
    assert writing == {
        "test": {"contents": "read"},
        "stale": {"contents": "read"},
        "reproduce": {"contents": "write"},
        "page": {"contents": "read", "pages": "write", "id-token": "write"},
        "review": {"contents": "write", "pull-requests": "write"},
    }


def test_the_code_of_a_fork_never_reaches_our_own_runner() -> None:
    triggers = WORKFLOW["on"]
    assert "pull_request_target" not in triggers
    for name, job in JOBS.items():
        if "self-hosted" in job["runs-on"] or "write" in job["permissions"].values():
            same_repository = "github.event.pull_request.head.repo.full_name == github.repository"
            of_main = job["if"].startswith("github.ref == 'refs/heads/main' && ")
            assert of_main or same_repository in job["if"], name


@pytest.fixture
def fake_gh(tmp_path: Path) -> Path:
    """Give a folder with a `gh` that writes its arguments and token to a file, one a line."""
    (tmp_path / "gh").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" "$GH_TOKEN" >{tmp_path}/arguments\n'
    )
    (tmp_path / "gh").chmod(0o755)
    return tmp_path


def make_comment(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make comment` with the `gh` in `folder`."""
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    settings = [
        f"{name}={variables[name]}" for name in ("PULL_REQUEST", "OUT") if name in variables
    ]
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), "comment", *settings],
        env=os.environ | {"PATH": path, "PULL_REQUEST": "of another program"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_review_becomes_the_one_comment_of_the_pull_request(fake_gh: Path) -> None:
    variables = dict.fromkeys(JOBS["review"]["env"], "7")  # all that the workflow sets
    variables |= {"OUT": "a review.md", "GITHUB_REPOSITORY": "someone/study", "GH_TOKEN": "secret"}
    done = make_comment(fake_gh, **variables)
    assert done.returncode == 0, done.stderr
    arguments = (fake_gh / "arguments").read_text().splitlines()
    assert arguments == [
        *("pr", "comment", "7"),
        *("--repo", "someone/study"),
        *("--edit-last", "--create-if-none"),
        *("--body-file", "a review.md"),
        "secret",
    ]


def test_a_missing_number_of_the_pull_request_is_named_in_one_line(fake_gh: Path) -> None:
    done = make_comment(fake_gh)
    assert done.returncode != 0
    assert "PULL_REQUEST: is not set" in done.stderr.splitlines()[0]
    assert not (fake_gh / "arguments").exists()
