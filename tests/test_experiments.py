"""docs/experiments.md: its commands, in their order, as a person would type them."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support import mlflow_server
from tests.support.documentation import code_blocks
from tests.support.dvc_repository import PYTHON, call, make
from tests.support.processes import until
from tests.support.study import ROOT

COMMANDS = re.findall(
    r"^\$ (.+)$", "\n".join(code_blocks(ROOT / "docs/experiments.md", "console")), re.MULTILINE
)
QUEUED = ("fast", "lenient")

pytestmark = pytest.mark.slow


@pytest.fixture
def project(repository: Path) -> Iterator[Path]:
    """Give the finished repository; no worker of its queue goes on after the test."""
    yield repository
    call(repository, *PYTHON, "dvc", "queue", "stop", "--kill")


def test_every_command_of_the_page_does_what_the_page_says(project: Path) -> None:
    before = learning_rates(project)
    printed = {command: run(project, command) for command in COMMANDS}

    (shown,) = (text for command, text in printed.items() if "exp show" in command)
    assert all(f"[{name}]" in shown for name in ("short", *QUEUED))
    assert "Unchanged" not in shown
    (diff,) = (text for command, text in printed.items() if "exp diff" in command)
    assert re.search(r"train\.epochs +1 +2 ", diff)
    # MLflow: the run in the workspace, and the one that was kept; nothing of the other copies.
    assert learning_rates(project) - before == {("relu", "0.02")}
    train = YAML(typ="safe").load(project / "params.yaml")["train"]
    assert train["optimizer"]["learning_rate"] == 0.02
    assert make(project, "check").startswith("all ")
    assert make(project, "stale") == "dvc.lock is up to date\n"
    assert "epochs: 1" in call(project, "git", "show", "topic:params.yaml")


def run(project: Path, command: str) -> str:
    """Run a command; after the queue's start, wait for its experiments."""
    program, *arguments = command.split()
    if program == "make":
        return make(project, arguments[0])
    prefix = PYTHON if program == "dvc" else ()
    printed = call(project, *prefix, program, *arguments)
    if command == "dvc queue start":
        until(lambda: finished(project), patience_s=300)
    return printed


def finished(project: Path) -> bool:
    """Return whether the queue's experiments have ended well."""
    time.sleep(2)  # the call takes as much of the processor as an experiment
    printed = call(project, *PYTHON, "dvc", "queue", "status")
    states = dict(re.findall(r"(\S+) +\S+ [AP]M +(\S+)$", printed, re.MULTILINE))
    assert "Failed" not in states.values(), printed
    return states == dict.fromkeys(QUEUED, "Success")


def learning_rates(project: Path) -> set[tuple[str, str]]:
    """Return (variant, learning rate) of the runs in the repository's MLflow store."""
    return {
        (run.info.run_name, run.data.params["train.optimizer.learning_rate"])
        for run in mlflow_server.runs(f"sqlite:///{project}/mlflow.db")
        if run.info.run_name == "relu"
    }
