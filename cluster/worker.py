"""One stage in a clean copy of the workspace, wherever Ray puts it."""

import logging
import os
import platform
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from cluster import results, workspace
from cluster.plan import Entry, Step
from cluster.workspace import Sharing

CACHE = "DVC_CLUSTER_CACHE"  # in a machine's environment: its cache folder, else one in /tmp

# Ends the process group when what holds its standard input is gone. No child of that one, since
# Ray ends a worker's children, but not theirs, before it ends the worker.
_GUARD = """
import os, signal, sys
if os.fork():
    os._exit(0)
sys.stdin.read()
os.killpg(os.getpgrp(), signal.SIGKILL)
"""


class Outcome(NamedTuple):
    """How a stage ended.

    Attributes:
        state: `done`, `cached` (its result was known) or `failed`.
        seconds: Wall time, with everything around the stage's own command.
        host: Where it ran.
        log: What it and DVC printed.
        entry: Its entry in dvc.lock; empty where it failed.
        kept: What comes back beside its outputs, packed.
    """

    state: str
    seconds: float
    host: str
    log: str
    entry: Entry
    kept: bytes


class Job(NamedTuple):
    """What all stages of a run have in common.

    Attributes:
        archive: The workspace's sources, as `workspace.pack` made them.
        sharing: How results travel.
        environment: Variables to set.
    """

    archive: bytes
    sharing: Sharing
    environment: Mapping[str, str]


class Board:
    """An actor to which stages say that they have begun."""

    def __init__(self) -> None:
        self._begun: list[tuple[str, str]] = []

    def write(self, address: str, host: str) -> None:
        """A stage has begun."""
        self._begun.append((address, host))

    def take(self) -> list[tuple[str, str]]:
        """Return [(stage, where)] since the last call."""
        begun, self._begun = self._begun, []
        return begun


def versions() -> dict[str, str]:
    """Return {package: version} of what an import would find, and Python's."""
    found = {"python": platform.python_version()}
    for each in metadata.distributions():
        found.setdefault(each.metadata["Name"].lower(), each.version)
    return found


def execute(step: Step, job: Job, inputs: Mapping[str, Entry], board: Any) -> Outcome:
    """Run one stage and put its results where all find them.

    Args:
        step: The stage.
        job: What it has in common with others.
        inputs: {address: entry in dvc.lock} of the stages that it depends on.
        board: A handle of the `Board`.

    Returns:
        How it ended; a command that fails is no exception, since Ray would try it again.
    """
    board.write.remote(step.address, platform.node())
    _end_children_with_me()
    begun = time.monotonic()
    state, entry, kept = "failed", Entry(), b""
    with _scratch() as top:
        root, log = top / "workspace", top / "log"
        root.mkdir()
        with log.open("w", encoding="utf-8") as file, _printing_to(file.fileno(), log), chdir(root):
            os.environ.update(job.environment)
            if job.sharing.remote:  # `python` is the one whose packages the driver has compared
                os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{_path()}"
            try:
                workspace.unpack(job.archive, root)
                workspace.configure(root, _with_cache(job.sharing), top / "dvc")
                state, entry = results.reproduce(root, step, inputs, bool(job.sharing.remote))
                kept = workspace.pack(root, step.keep)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this stage's failure
                for each in (error, error.__cause__):
                    if each is not None:
                        file.write(f"{type(each).__name__}: {each}\n")
        text = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(state, time.monotonic() - begun, platform.node(), text, entry, kept)


@cache
def _path() -> str:
    """Return PATH as Ray gave it to this process, which runs one stage after another."""
    return os.environ.get("PATH", os.defpath)


@cache
def _end_children_with_me() -> subprocess.Popen[bytes]:
    """See to it that a stage's processes end when this one is killed: DVC would leave them.

    Returns:
        What holds the guard's standard input open, as long as this process is there.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    command = [sys.executable, "-S", "-c", _GUARD]
    guard = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - this Python
    guard.wait()
    return guard


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a folder to work in, and delete those of workers that were killed."""
    work = workspace.own_folder() / "work"
    work.mkdir(parents=True, exist_ok=True)
    for lock in work.glob("*.lock"):
        with suppress(Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    top = work / uuid.uuid4().hex
    with FileLock(lock := top.with_suffix(".lock")):
        top.mkdir()
        try:
            yield top
        finally:
            shutil.rmtree(top, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _with_cache(sharing: Sharing) -> Sharing:
    if sharing.cache:
        return sharing
    import ray  # noqa: PLC0415 - there is one where there is no shared cache

    default = workspace.own_folder() / f"cache-{ray.get_runtime_context().get_node_id()[:12]}"
    return sharing._replace(cache=os.environ.get(CACHE, str(default)))


@contextmanager
def _printing_to(descriptor: int, log: Path) -> Iterator[None]:
    """Send what the stage's command prints, and what DVC logs, to a file."""
    handler = logging.FileHandler(log)
    logger = logging.getLogger("dvc")
    level = logger.level
    kept = [os.dup(1), os.dup(2)]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    try:
        yield
    finally:
        for stream, old in zip((1, 2), kept, strict=True):
            os.dup2(old, stream)
            os.close(old)
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
