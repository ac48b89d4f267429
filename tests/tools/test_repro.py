"""`make repro`: which stages it names and runs, and what it prints where something goes wrong."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.dvc_repository import PYTHON, call, environment_in, make, ran
from tests.support.processes import below, until
from tests.support.study import tiny_params, write_params
from tools import repro
from vanishing.errors import StudyError
from vanishing.params.diagnose import Params
from vanishing.params.load import load

FAILING_STAGE = """\
from vanishing.errors import StudyError


def main(argv):
    raise StudyError("no ink")
"""
WEIGHTS, TABLES = "models/a/seed-0", "data/training/a/seed-0"


@pytest.fixture
def params(workspace: Path) -> Params:
    """Give the tiny parameters with two seeds, in the working directory."""
    content = tiny_params()
    content["train"]["seeds"] = [0, 1]
    write_params(workspace, content)
    return load(Params)


def test_named_variants_and_seeds_become_targets(params: Params) -> None:
    assert repro.choose_targets(params, [], []) == []
    assert repro.choose_targets(params, ["relu"], ["1"]) == [
        "train@relu-1",
        "extract@relu-1",
        "initialise@relu",
    ]
    of_relu = repro.choose_targets(params, ["relu"], [])
    assert {"train@relu-0", "train@relu-1", "initialise@relu"} < set(of_relu)
    of_seed = repro.choose_targets(params, [], ["0"])
    assert {f"train@{name}-0" for name in params.variants} < set(of_seed)
    assert "train@relu-1" not in of_seed
    with pytest.raises(StudyError, match=r"no variant 'rely' \(did you mean relu\?\)"):
        repro.choose_targets(params, ["relu", "rely"], [])
    with pytest.raises(StudyError, match=r"no seed '2'; train\.seeds has 0, 1"):
        repro.choose_targets(params, [], ["2"])


def test_the_first_line_says_what_is_going_to_run() -> None:
    assert repro.announce([], 0.0) == "every stage is up to date"
    assert (
        repro.announce(["report"], 3.8)
        == "1 stage to run or restore, about 4 s of work here: report"
    )
    stages = ["validate", "train@a-0", "train@b-0", "report"]
    assert repro.announce(stages, None) == "4 stages to run or restore: validate, train × 2, report"


def outs(path: str, change: str = "not in cache") -> dict[str, dict[str, str]]:
    """Write a missing output as `dvc status` does."""
    return {"changed outs": {path: change}}


def deps(path: str) -> dict[str, dict[str, str]]:
    """Write a missing dependency as `dvc status` does."""
    return {"changed deps": {path: "deleted"}}


@pytest.mark.parametrize(
    ("status", "stale", "spared"),
    [
        ({}, [], False),
        ({"train@a-0": [outs(WEIGHTS)], "extract@a-0": [deps(WEIGHTS)]}, [], True),
        ({"train@a-0": [outs(WEIGHTS), outs(TABLES)]}, [], False),
        ({"train@a-0": [outs(WEIGHTS)], "download": [outs("data/raw", "deleted")]}, [], True),
        ({"train@a-0": [outs(WEIGHTS)], "track": [outs(".study/identities.json")]}, [], True),
        ({"train@a-0": [outs(WEIGHTS)], "render": ["changed command"]}, ["render"], True),
        (
            {"train@a-0": [outs(WEIGHTS)], "extract@a-0": [deps(WEIGHTS)]},
            ["extract@a-0"],
            False,
        ),
        (
            {
                "train@a-0": [outs(WEIGHTS)],
                "train@b-0": [outs("models/b/seed-0"), deps("data/fingerprints/variants/b")],
                "extract@b-0": [deps("models/b/seed-0")],
            },
            ["train@b-0", "extract@b-0"],
            True,
        ),
        (
            {
                "train@a-0": [outs(WEIGHTS)],
                "download": [outs("data/raw")],
                "train@b-0": [outs("models/b/seed-0"), deps("data/raw")],
            },
            ["train@b-0"],
            False,
        ),
    ],
)
def test_weights_stay_away_where_no_stale_stage_reads_them(
    status: dict[str, list[Any]], stale: list[str], spared: bool
) -> None:
    assert repro.needs_no_weights(status, stale) == spared


@pytest.mark.slow
def test_an_error_of_a_stage_is_shown_and_its_line_says_failed(repository: Path) -> None:
    (repository / "stages/report.py").write_text(FAILING_STAGE)
    printed = make(repository, "repro", status=2).splitlines()
    assert re.match(r"3 stages to run or restore, about .*: fingerprint, report, track", printed[0])
    assert "error: no ink" in printed
    assert re.search(r"^2/3  report +failed$", "\n".join(printed), re.MULTILINE)
    assert "error: dvc failed (see above)" in printed
    assert not [line for line in printed if line.startswith(("Running", "Updating", ">"))]


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_leaves_nothing_behind(repository: Path) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 1000, "snapshots": [0, "last"]}
    write_params(repository, content)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    with subprocess.Popen(
        ("make", "-o", "setup", "repro"),
        cwd=repository,
        env=environment_in(repository),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        until(lambda: below(process.pid, "-m", "stages", "train") != [])
        family = below(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        printed, _ = process.communicate()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    announcement, *lines, interrupted, last = printed.splitlines()
    assert "stages to run or restore" in announcement
    assert ran("\n".join(lines)) == ["validate"]
    assert len(lines) == 1
    assert interrupted == "error: interrupted; finished stages are not run again"
    assert last.startswith("make: ***")
    assert "WARNING" not in call(repository, *PYTHON, "dvc", "status")
