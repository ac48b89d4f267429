"""What tools said of trainings, kept in data/zoo as outcomes are: a killed run is resumed.

An answer's file has a key in its name, of all that it depends on: the training, the tool's version
and the text of the modules that attach it and define its alarms.
"""

import hashlib
import importlib
import json
import time
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.watchers import watcher
from benchmarks.zoo import outcomes
from benchmarks.zoo.cases import Case
from benchmarks.zoo.outcomes import FOLDER, Run
from benchmarks.zoo.rivals import alarms
from benchmarks.zoo.rivals.alarms import RIVALS
from vanishing.errors import StudyError
from vanishing.files import digest, write_text

STEPS = 100  # after which a tool is asked: twice as many as ours, early
SEED = 0  # of the trainings: one each, since an interval counts cases


class Question(NamedTuple):
    """What a tool of RIVALS says of a training."""

    tool: str
    case: Case
    steps: int = STEPS
    seed: int = SEED

    @property
    def path(self) -> Path:
        """The file of the answer."""
        name = f"{self.tool}-{self.seed}-{self.steps}-{key(self)}.json"
        return FOLDER / self.case.name / name

    @property
    def missing(self) -> bool:
        """Whether it has to be asked."""
        return not self.path.exists()


class Answer(NamedTuple):
    """What it said.

    Attributes:
        alarms: {name of an alarm: whether it was given}.
        error: The tool's error, if it ended with one; None otherwise.
        seconds: Of processor time that training and answer took.
    """

    alarms: dict[str, bool]
    error: str | None
    seconds: float


def questions(cases: Iterable[Case]) -> list[Question]:
    """Return all questions about some cases: of each tool."""
    return [Question(tool, case) for case in cases for tool in RIVALS]


def key(question: Question) -> str:
    """Return sixteen hexadecimal digits, of the training, the tool's version and our code."""
    trained = outcomes.key(Run(question.case, question.seed, question.steps))
    return digest([trained, question.tool, _version(question.tool), _code(question.tool)])[:16]


def check_tools() -> None:
    """Raise StudyError if a tool is not installed."""
    for tool in RIVALS:
        _version(tool)


@cache
def _version(tool: str) -> str:
    package = RIVALS[tool].package
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise StudyError(
            f"{package} is not installed; `make bench` installs all tools that ours is compared"
            " with, from requirements-bench.lock"
        ) from error


@cache
def _code(tool: str) -> str:
    """Return the SHA-256 of the modules whose text decides an answer."""
    sha = hashlib.sha256()
    attaching = importlib.import_module(RIVALS[tool].watcher.__module__)
    for module in (watcher, attaching, alarms):
        assert module.__file__  # noqa: S101 - each is a file
        sha.update(Path(module.__file__).read_bytes())
    return sha.hexdigest()


def make(question: Question) -> None:
    """Train, ask and keep the answer."""
    begun = time.process_time()
    given, error = alarms.ask(RIVALS[question.tool], question.case, question.seed, question.steps)
    answer = Answer(given, error, time.process_time() - begun)
    write_text(question.path, json.dumps(answer._asdict()))


def read(question: Question) -> Answer:
    """Read an answer that was kept."""
    return Answer(**json.loads(question.path.read_text(encoding="utf-8")))


def read_all(asked: Sequence[Question]) -> pd.DataFrame:
    """Return what was answered, a row per question and alarm.

    Returns:
        Columns name (of the case), detector (the tool and its alarm), alarm, crashed and
        seconds.
    """
    return pd.DataFrame(
        {
            "name": question.case.name,
            "detector": f"{question.tool}: {name}",
            "alarm": alarm,
            "crashed": answer.error is not None,
            "seconds": answer.seconds,
        }
        for question in asked
        for answer in [read(question)]
        for name, alarm in answer.alarms.items()
    )
