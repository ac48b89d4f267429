"""Runs one stage in a clean copy of the workspace, on the machine that Ray chose."""

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
from cluster.sharing import Sharing

CACHE = "DVC_CLUSTER_CACHE"  # a variable of a machine: its cache folder; by default one in /tmp

# OpenMP reads it once, when a stage imports torch. By default a thread that waits for the others
# spins, and takes the processor from a stage that runs at its side.
DEFAULTS = {"OMP_WAIT_POLICY": "passive"}

# Kills the process group once its standard input is closed. It forks, since Ray ends the children
# of a worker, but not their children, before it ends the worker.
_WATCHER = """
import os, signal, sys
if os.fork():
    os._exit(0)
sys.stdin.read()
os.killpg(os.getpgrp(), signal.SIGKILL)
"""


class Outcome(NamedTuple):
    """How a stage ended.

    Attributes:
        state: `done`, `cached` (the run cache had its results), `unchanged` (it was not started,
            since its inputs turned out as they were) or `failed`.
        seconds: Wall time, which includes the work before and after the stage's command.
        host: The machine's name.
        log: The output of the stage's command and of DVC.
        entry: Its entry in dvc.lock; empty if it failed.
        kept: The files that come back although they are no outputs, packed.
    """

    state: str
    seconds: float
    host: str
    log: str
    entry: Entry
    kept: bytes


class Job(NamedTuple):
    """What all stages of a run share.

    Attributes:
        archive: The workspace's sources, packed by `workspace.pack`.
        sharing: How results travel.
        variables: Environment variables to set.
    """

    archive: bytes
    sharing: Sharing
    variables: Mapping[str, str]


class Starts:
    """An actor that collects which stages have started."""

    def __init__(self) -> None:
        self._starts: list[tuple[str, str]] = []

    def add(self, address: str, host: str) -> None:
        """Note that a stage has started on a machine."""
        self._starts.append((address, host))

    def take(self) -> list[tuple[str, str]]:
        """Return [(stage, machine)] since the last call."""
        starts, self._starts = self._starts, []
        return starts


def versions() -> dict[str, str]:
    """Return {package: version} of the packages that this process would import, and of Python."""
    installed = {"python": platform.python_version()}
    for distribution in metadata.distributions():  # the first of a name is the one imported
        installed.setdefault(distribution.metadata["Name"].lower(), distribution.version)
    return installed


def execute(step: Step, job: Job, inputs: Mapping[str, Entry], starts: Any) -> Outcome:
    """Run one stage and put its results into the shared cache or the remote.

    Args:
        step: The stage.
        job: What all stages share.
        inputs: {address: entry in dvc.lock} of the stages that it depends on.
        starts: A handle of the actor `Starts`.

    Returns:
        Its outcome. A command that fails raises nothing, since Ray would run it again.
    """
    starts.add.remote(step.address, platform.node())
    _end_children_with_worker()
    begin_s = time.monotonic()
    state, entry, kept = "failed", Entry(), b""
    with _scratch_folder() as top:
        root, log = top / "workspace", top / "log"
        root.mkdir()
        with (
            log.open("w", encoding="utf-8") as file,
            _printing_to(file.fileno(), log),
            chdir(root),
            _environment(_variables(root, job)),
        ):
            try:
                workspace.unpack(job.archive, root)
                workspace.configure(root, _with_cache(job.sharing), top / "dvc")
                state, entry = results.reproduce(root, step, inputs, bool(job.sharing.remote))
                kept = workspace.pack(root, step.keep)
            except Exception as error:  # noqa: BLE001 - every error is this stage's failure
                for cause in (error, error.__cause__):
                    if cause is not None:
                        file.write(f"{type(cause).__name__}: {cause}\n")
        text = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(state, time.monotonic() - begin_s, platform.node(), text, entry, kept)


def _variables(root: Path, job: Job) -> dict[str, str]:
    """Return the environment of a stage's processes.

    Args:
        root: The copy of the workspace. Python imports from it first, also in a process that a
            stage starts in a sub-folder.
        job: What all stages share.

    Returns:
        {variable: value}.
    """
    variables = {**DEFAULTS, **os.environ, **job.variables}
    modules = [str(root), variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, modules))
    if job.sharing.remote:  # `python` is then the one whose packages the driver has compared
        path = variables.get("PATH", os.defpath)
        variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{path}"
    return variables


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Replace this process's environment, and restore it: a worker runs one stage after another."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@cache
def _end_children_with_worker() -> subprocess.Popen[bytes]:
    """End a stage's processes when this worker is killed: DVC would leave them running.

    Returns:
        The process that holds the watcher's standard input open, as long as this worker runs.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    command = [sys.executable, "-S", "-c", _WATCHER]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - this Python
    watcher.wait()
    return watcher


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    """Create a folder to work in, and delete those that killed workers left."""
    parent = workspace.user_folder() / "work"
    parent.mkdir(parents=True, exist_ok=True)
    for lock in parent.glob("*.lock"):
        with suppress(Timeout), FileLock(lock, timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    folder = parent / uuid.uuid4().hex
    with FileLock(lock := folder.with_suffix(".lock")):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def _with_cache(sharing: Sharing) -> Sharing:
    """Name this machine's cache folder where the machines share none."""
    if sharing.cache:
        return sharing
    import ray  # noqa: PLC0415 - on a cluster alone

    default = workspace.user_folder() / f"cache-{ray.get_runtime_context().get_node_id()[:12]}"
    return sharing._replace(cache=os.environ.get(CACHE, str(default)))


@contextmanager
def _printing_to(descriptor: int, log: Path) -> Iterator[None]:
    """Send the output of the stage's command, and DVC's log, to a file."""
    handler = logging.FileHandler(log)
    logger = logging.getLogger("dvc")
    level = logger.level
    originals = [os.dup(1), os.dup(2)]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    try:
        yield
    finally:
        for stream, original in zip((1, 2), originals, strict=True):
            os.dup2(original, stream)
            os.close(original)
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
