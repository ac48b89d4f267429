"""The outcomes of trainings, kept in data/zoo, and the training of those that are missing.

An outcome's file has a key in its name: of all that its numbers depend on. Edited code, another
version of torch or other data make it missing. A killed run loses the trainings that were going on.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import torch

import vanishing
from benchmarks.zoo import alterations, data, networks, training
from benchmarks.zoo.cases import Case
from benchmarks.zoo.training import Outcome
from vanishing.files import digest, write_text

FOLDER = Path("data/zoo")

_MODULES = (alterations, data, networks, training)


class Piece(Protocol):
    """A piece of work about a case, whose result is kept."""

    @property
    def case(self) -> Case:
        """The case."""

    @property
    def missing(self) -> bool:
        """Whether it has to be done."""


AnyPiece = TypeVar("AnyPiece", bound=Piece)


@dataclass(frozen=True)
class Kept(ABC):
    """A piece of work about a case, whose result is kept in a file of JSON."""

    case: Case

    @property
    @abstractmethod
    def path(self) -> Path:
        """The file, with a key in its name of all that the result depends on."""

    @property
    def missing(self) -> bool:
        """Whether it has to be done."""
        return not self.path.exists()

    def keep(self, content: Any) -> None:
        """Keep the result."""
        write_text(self.path, json.dumps(content))

    def content(self) -> Any:
        """Return the result, which is there."""
        return json.loads(self.path.read_text(encoding="utf-8"))


class Run(NamedTuple):
    """A training to be made: all that `training.train` takes."""

    case: Case
    seed: int
    steps: int = training.STEPS
    traced: bool = False

    @property
    def path(self) -> Path:
        """The file of its outcome."""
        return FOLDER / self.case.name / f"{self.seed}-{self.steps}-{key(self)}.json"

    @property
    def trace(self) -> Path:
        """The folder that its watch writes, beside the file."""
        return self.path.with_suffix("")

    @property
    def missing(self) -> bool:
        """Whether it has to be trained: without an outcome, or without a trace that is asked."""
        return not self.path.exists() or (self.traced and not self.trace.exists())


def key(run: Run) -> str:
    """Return sixteen hexadecimal digits, of what is trained, by which code and on which data."""
    content = [
        run.case.recipe,
        run.seed,
        run.steps,
        data.digest(run.case.dataset),
        code(),
        torch.__version__,
    ]
    return digest(content)[:16]


@cache
def code() -> str:
    """Return the SHA-256 of the modules whose text decides an outcome."""
    sha = hashlib.sha256()
    for module in _MODULES:
        assert module.__file__  # noqa: S101 - each is a file
        sha.update(Path(module.__file__).read_bytes())
    return sha.hexdigest()


def read(run: Run) -> Outcome:
    """Read the outcome of a run that was trained."""
    content = json.loads(run.path.read_text(encoding="utf-8"))
    curves = {key: tuple(content[key]) for key in ("losses", "accuracies", "batch_accuracies")}
    return Outcome(**curves, seconds=content["seconds"])


def make(run: Run) -> Outcome:
    """Train and keep the outcome, and its trace before it, each whole or not at all."""
    unfinished = run.trace.with_suffix(".unfinished") if run.traced else None
    if unfinished:
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    watch = partial(vanishing.watch, folder=unfinished) if unfinished else None
    outcome = training.train(run.case, run.seed, run.steps, watch)
    if unfinished:
        unfinished.rename(run.trace)
    write_text(run.path, json.dumps(asdict(outcome)))  # NaN and Infinity, which Python reads back
    return outcome


def make_all(
    pieces: Sequence[AnyPiece], jobs: int, work: Callable[[AnyPiece], object]
) -> Iterator[AnyPiece]:
    """Do pieces of work, with one thread each.

    Args:
        pieces: What is missing.
        jobs: How many at a time, each in a process of its own; 1 for this process.
        work: Does one and keeps its result, as `make` does; a function of a module.

    Yields:
        Each piece when its result is kept.
    """
    if jobs == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for piece in pieces:
                work(piece)
                yield piece
        finally:
            torch.set_num_threads(threads)
        return
    processes = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, processes, initializer=_begin) as pool:
        try:
            futures = {pool.submit(work, piece): piece for piece in pieces}
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        finally:  # after an error or Ctrl-C, what has not begun never begins
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Prepare a worker: one thread, and no life after its parent's, who may be killed."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent  # noqa: S101 - this is a worker
    parent.join()
    os._exit(1)
