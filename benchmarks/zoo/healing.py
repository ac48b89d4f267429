"""Pieces of work about remedies: what is recommended for a case, and what becomes of a change.

data/zoo/remedies keeps each, with a key of all that its numbers depend on.
"""

import ast
import hashlib
import math
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import NamedTuple

import torch

from benchmarks.zoo import data, outcomes, tasks, training
from benchmarks.zoo.cases import Case
from benchmarks.zoo.outcomes import Kept
from benchmarks.zoo.rivals import recommendations
from benchmarks.zoo.rivals.recommendations import OTHERS
from vanishing import remedies
from vanishing.files import digest
from vanishing.judging.learning import causes, moment, progress, verdict
from vanishing.pipeline.syntax import is_docstring
from vanishing.remedies.attenuations import attenuation
from vanishing.remedies.changes import ADAM, BATCH_NORM, HE, RELU, SINGLES, Change, with_
from vanishing.remedies.pilots import Pilot
from vanishing.remedies.remedy import search
from vanishing.remedies.surgery import NotApplicableError
from vanishing.remedies.task import Task

AS_IS = "as it is"
_FOLDER = outcomes.FOLDER / "remedies"
_CHECKPOINTS = tuple(round(share * training.STEPS) for share in training.CHECKPOINTS[3:])
_INITIALISATIONS = 20
_OF_TRAINING = ("changes", "pilots", "surgery", "task")  # what a search decides changes none
_OF_SEARCH = (*_OF_TRAINING, "attenuations", "faults", "remedy")
_JUDGING = (causes, moment, progress, verdict)
ALWAYS = {
    "ReLU and He always": with_(RELU, HE),
    "He and batch normalization always": with_(HE, BATCH_NORM),
    "He, batch normalization and Adam always": with_(with_(HE, BATCH_NORM), ADAM),
}


class Recommendation(NamedTuple):
    """What `find_remedy` says of a case.

    Attributes:
        outcome: Of the advice.
        change: Name of the change; None without one.
        fault: Name of the plain fault; None without one.
        expected: Whether the change is expected to heal.
        trainings: What it cost.
        attenuation: Name of the structure with the least attenuation; None where none was measured.
    """

    outcome: str
    change: str | None
    fault: str | None
    expected: bool
    trainings: float
    attenuation: str | None


@dataclass(frozen=True)
class Search(Kept):
    """The question what helps a case."""

    @property
    def path(self) -> Path:
        """The file of its answer."""
        key = _key(self.case, "search", _code(_OF_SEARCH, *_JUDGING))
        return _FOLDER / self.case.name / f"advice-{key}.json"

    def read(self) -> Recommendation:
        """Return the answer, which is there."""
        return Recommendation(**self.content())


@dataclass(frozen=True)
class Healing(Kept):
    """A whole training of a case with a change, or as it is."""

    change: str
    seed: int

    @property
    def path(self) -> Path:
        """The file of its accuracy."""
        of_change = (recommendations,) if self.change in OTHERS else ()
        key = _key(self.case, f"{self.change} {self.seed}", _code(_OF_TRAINING, *of_change))
        return _FOLDER / self.case.name / f"outcome-{key}.json"

    def read(self) -> float | None:
        """Return the accuracy, the mean at 90, 95 and 100 %; None where it cannot be applied."""
        accuracy: float | None = self.content()
        return accuracy


def _key(case: Case, words: str, code: str) -> str:
    content = [case.recipe, words, data.digest(case.dataset), code, torch.__version__]
    return digest(content)[:16]


@cache
def _code(names: tuple[str, ...], *others: ModuleType) -> str:
    """Return the SHA-256 of modules of `vanishing.remedies`, tasks and others that decide."""
    sha = hashlib.sha256(outcomes.code().encode())
    assert remedies.__file__  # noqa: S101 - it is a folder with a file
    folder = Path(remedies.__file__).parent
    paths = [Path(module.__file__ or "") for module in (tasks, *others)]
    for path in (*(folder / f"{name}.py" for name in names), *paths):
        sha.update(_syntax(path).encode())
    return sha.hexdigest()


def _syntax(path: Path) -> str:
    """Return what a module does, without comments and docstrings."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [s for s in body if not is_docstring(s)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def ask(question: Search) -> None:
    """Look for the remedy, and keep the answer."""
    task = tasks.task_of(question.case)
    advice = search(task)
    structures = {
        trial.name: abs(trial.decades)
        for trial in advice.tried
        if not math.isnan(trial.decades)  # of changes of structure alone
    }
    answer = Recommendation(
        advice.outcome,
        advice.change.name if advice.change else None,
        advice.fault.name if advice.fault else None,
        advice.is_expected_to_heal,
        advice.trainings,
        min(structures, key=structures.__getitem__) if structures else least_attenuation(task),
    )
    question.keep(answer._asdict())


def train(healing: Healing) -> None:
    """Train with the change, and keep the accuracy."""
    healing.keep(_accuracy(healing))


def _accuracy(healing: Healing) -> float | None:
    task = tasks.task_of(healing.case)
    try:
        pilot = Pilot(task, change_named(healing.change), healing.seed)
    except NotApplicableError:
        return None
    for step in _CHECKPOINTS:
        pilot.advance(step)
    if not math.isfinite(pilot.losses[-1]):
        return 0.0
    return mean(float(pilot.scores[step].mean()) for step in _CHECKPOINTS)


def change_named(name: str) -> Change | None:
    """Return the change of that name, or the pair; None for the training as it is."""
    if name == AS_IS:
        return None
    if name in ALWAYS:
        return ALWAYS[name]
    by_name = {change.name: change for change in SINGLES} | OTHERS
    return reduce(with_, (by_name[part] for part in name.split(" + ")))


def least_attenuation(task: Task) -> str | None:
    """Return the name of the structure with the least attenuation at initialisation."""
    distances: dict[str, float] = {}
    for change in filter(lambda change: change.is_structural, SINGLES):
        try:
            decades = abs(attenuation(task, change, _INITIALISATIONS))
        except NotApplicableError:
            continue
        if not math.isnan(decades):
            distances[change.name] = decades
    return min(distances, key=distances.__getitem__, default=None)
