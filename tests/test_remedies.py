"""Errors that name a next step: the step is taken as it is printed, and then all is well."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.dvc_repository import PYTHON, call
from vanishing import paths
from vanishing.datasets.idx import raw_folder

TABLE = paths.table("layers", "relu", 0)
HISTORY = paths.table("history", "relu", 0)
SNAPSHOT = paths.snapshot("relu", 0, 1)
IMAGES = raw_folder(paths.RAW, "MNIST") / "t10k-images-idx3-ubyte"
STAGE = "python -m stages"

pytestmark = pytest.mark.slow


class Mishap(NamedTuple):
    """Something that happens to a repository with results.

    Attributes:
        happen: Does it, in the working directory.
        command: Fails then, and succeeds once the advice was followed.
        message: A pattern of the one line that it prints; groups are the commands it advises.
    """

    happen: Callable[[], object]
    command: str
    message: str


def cut_off(path: Path) -> None:
    """Replace a file by its first half."""
    content = path.read_bytes()
    path.unlink()  # it may be a link to DVC's cache
    path.write_bytes(content[: len(content) // 2])


def conflict(path: Path) -> None:
    """Leave the marks of a merge's conflict in the middle of a file."""
    lines = path.read_text().splitlines()
    middle = len(lines) // 2
    marks = ["<<<<<<< HEAD", lines[middle], "=======", lines[middle], ">>>>>>> topic"]
    path.write_text("\n".join([*lines[:middle], *marks, *lines[middle + 1 :], ""]))


def replace(path: Path, other: Path) -> None:
    """Replace a file by a copy of another one."""
    path.unlink()
    shutil.copy(other, path)


def edit(path: Path, before: str, after: str) -> None:
    """Replace a text in a file."""
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


MISHAPS = {
    "no dvc.lock": Mishap(
        paths.LOCK.unlink, "make track", r"dvc\.lock: missing; run: (make repro)"
    ),
    "a merge in dvc.lock": Mishap(
        lambda: conflict(paths.LOCK),
        "make stale",
        r"dvc\.lock: cannot be read \(.+\); take that of a commit, as by `(.+)`, and run: (.+)",
    ),
    "a merge in metrics.json": Mishap(
        lambda: conflict(paths.METRICS),
        f"{STAGE} report",
        r"metrics\.json: cannot be read \(.+\); run: (dvc repro diagnose)",
    ),
    "no health.json": Mishap(
        paths.HEALTH.unlink, f"{STAGE} report", r"health\.json.*; run: (dvc repro diagnose)"
    ),
    "an edited verdict": Mishap(
        lambda: edit(paths.HEALTH, '"fine"', '"problem"'),
        "make track",
        r"health\.json: differs from what dvc\.lock records; run: (make repro), or dvc checkout",
    ),
    "half a table": Mishap(
        lambda: cut_off(TABLE),
        f"{STAGE} diagnose",
        r"layers\.parquet: cannot be read \(.+\); restore it: (dvc repro)",
    ),
    "no table": Mishap(
        TABLE.unlink,
        f"{STAGE} diagnose",
        r"layers\.parquet: cannot be read \(.+\); restore it: (dvc repro)",
    ),
    "another table": Mishap(
        lambda: replace(TABLE, HISTORY),
        f"{STAGE} diagnose",
        r"layers\.parquet: has the columns .+; reproduce it: (dvc repro)",
    ),
    "half a snapshot": Mishap(
        lambda: cut_off(SNAPSHOT),
        f"{STAGE} extract relu 0",
        r"safetensors: cannot be read \(.+\); restore it: (dvc repro)",
    ),
    "no record": Mishap(
        paths.run_record("relu", 0).unlink,
        f"{STAGE} extract relu 0",
        r"run\.json: cannot be read \(.+\); restore it: (dvc repro)",
    ),
    "half the images": Mishap(
        lambda: cut_off(IMAGES),
        f"{STAGE} initialise relu",
        r"ubyte: \d+ bytes, but .+; delete it and run (dvc repro download)",
    ),
    "no images": Mishap(
        IMAGES.unlink, f"{STAGE} initialise relu", r"ubyte: .+; run (dvc repro download)"
    ),
    "other parameters": Mishap(
        lambda: edit(paths.PARAMS, "width: 16", "width: 12"),
        f"{STAGE} extract relu 0",
        r"run\.json: these weights were trained .+; train them anew: (dvc repro train@relu-0)",
    ),
    "another threshold": Mishap(
        lambda: edit(paths.PARAMS, "margin: 0.02", "margin: 0.01"),
        "make check",
        r"health\.json: is stale: .+; run: (make repro)",
    ),
    "no results": Mishap(
        lambda: shutil.rmtree(paths.STATISTICS),
        f"{STAGE} diagnose",
        r"layers\.parquet: cannot be read \(.+\); restore it: (dvc repro)",
    ),
}


@pytest.mark.parametrize("name", MISHAPS)
def test_the_step_that_an_error_names_mends_it(
    repository: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    mishap = MISHAPS[name]
    mishap.happen()
    printed = run(mishap.command, failing=True)
    (message,) = re.findall(r"^error: (.+)$", printed, re.MULTILINE)
    advice = re.search(rf"{mishap.message}$", message)
    assert advice, message
    for command in advice.groups():
        run(command)
    run(mishap.command)


def run(command: str, failing: bool = False) -> str:
    """Run a command as it is printed, with the tests' Python, and return what it prints."""
    program, *arguments = command.split()
    if program == "make":
        return call(Path(), program, "-o", "setup", *arguments, status=2 if failing else 0)
    prefix = {"dvc": [*PYTHON, "dvc"], "python": [PYTHON[0]]}.get(program, [program])
    return call(Path(), *prefix, *arguments, status=int(failing))
