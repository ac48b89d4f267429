"""One stage in a clean copy of the workspace, wherever Ray puts it.

Some of what is needed DVC does for itself only: how a stage's key in the run cache is computed, and
how an entry of dvc.lock becomes outputs. Those doors are used here, and nowhere else.
"""

import logging
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from cluster.workspace import Sharing, unpack

CACHE = "DVC_CLUSTER_CACHE"  # in a machine's environment: its cache folder, else one in /tmp

Entry = dict[str, Any]


class Outcome(NamedTuple):
    """How a stage ended.

    Attributes:
        state: `done`, `cached` (restored from the run cache) or `failed`.
        seconds: Wall time, with everything around the stage's own command.
        host: Where it ran.
        log: What it and DVC printed.
        entry: Its entry in dvc.lock; empty where it failed.
    """

    state: str
    seconds: float
    host: str
    log: str
    entry: Entry


def versions() -> dict[str, str]:
    """Return {package: version} of what is installed, and Python's."""
    found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return {"python": platform.python_version(), **found}


def execute(
    address: str, archive: bytes, sharing: Sharing, entries: Mapping[str, Entry]
) -> Outcome:
    """Run one stage and put its results where all find them.

    Args:
        address: The stage.
        archive: The workspace, as `workspace.pack` made it.
        sharing: How results travel.
        entries: {address: entry in dvc.lock} of stages that have run since the workspace was
            packed, those that it depends on among them.

    Returns:
        How it ended; a command that fails is no exception, since Ray would try it again.
    """
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="dvc-cluster-") as top:
        root, log = Path(top, "workspace"), Path(top, "log")
        root.mkdir()
        state, entry = "failed", Entry()
        with log.open("w", encoding="utf-8") as file, _printing_to(file.fileno(), log), chdir(root):
            try:
                unpack(archive, root, _with_cache(sharing), Path(top, "dvc"))
                state, entry = _reproduce(root, address, bool(sharing.remote), entries)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this stage's failure
                for each in (error, error.__cause__):
                    if each is not None:
                        file.write(f"{type(each).__name__}: {each}\n")
        text = log.read_text(encoding="utf-8", errors="replace")
    return Outcome(state, time.monotonic() - begun, platform.node(), text, entry)


def _with_cache(sharing: Sharing) -> Sharing:
    if sharing.cache:
        return sharing
    import ray  # noqa: PLC0415 - there is one where there is no shared cache

    node = ray.get_runtime_context().get_node_id()
    default = Path(tempfile.gettempdir(), f"dvc-cluster-cache-{os.getuid()}-{node[:12]}")
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


def _reproduce(
    root: Path, address: str, remote: bool, entries: Mapping[str, Entry]
) -> tuple[str, Entry]:
    from dvc.repo import Repo, lock_repo  # noqa: PLC0415 - a second, once a worker
    from dvc.stage.serialize import to_single_stage_lockfile  # noqa: PLC0415

    with Repo(str(root)) as repo, lock_repo(repo):
        (stage,) = repo.stage.collect(address)
        for upstream in repo.index.graph.successors(stage):
            locked = entries.get(upstream.addressing)
            _restore(repo, _stage_of(repo, upstream, locked) if locked else upstream, remote)
        known = _known(repo, stage, remote)
        ran = repo.reproduce(address, single_item=True)
        (stage,) = repo.stage.collect(address)
        entry = dict(to_single_stage_lockfile(stage))
        if remote:
            _publish(repo, stage, entry)
    return ("done" if ran and not known else "cached"), entry


def _stage_of(repo: Any, stage: Any, entry: Entry) -> Any:
    """Return a stage whose outputs are those of an entry, all of them in the cache."""
    return repo.stage_cache._create_stage(entry, stage.wdir)


def _restore(repo: Any, stage: Any, pull: bool) -> None:
    """Put a stage's outputs in place, those that are not there as they should be."""
    if not any(out.workspace_status() for out in stage.outs):
        return
    if pull:
        _pull(repo, stage)
    stage.checkout()


def _pull(repo: Any, stage: Any) -> None:
    for objects in stage.get_used_objs().values():
        repo.cloud.pull(objects)


def _known(repo: Any, stage: Any, remote: bool) -> bool:
    """Say whether the run cache has the stage's result; fetch it where only the remote does."""
    stage.save_deps()
    if remote:
        _transfer(repo, stage, to_remote=False)
    entry = repo.stage_cache._load(stage)
    if not entry:
        return False
    cached = _stage_of(repo, stage, entry)
    if remote:
        _pull(repo, cached)
    return bool(cached.outs_cached())


def _publish(repo: Any, stage: Any, entry: Entry) -> None:
    """Send the outputs, then the entry that names them."""
    for objects in _stage_of(repo, stage, entry).get_used_objs().values():
        repo.cloud.push(objects)
    _transfer(repo, stage, to_remote=True)


def _transfer(repo: Any, stage: Any, to_remote: bool) -> None:
    """Copy the run cache's entries of one stage, where DVC would copy those of all."""
    from dvc.fs import generic  # noqa: PLC0415
    from dvc.stage.cache import _get_stage_hash  # noqa: PLC0415

    key = _get_stage_hash(stage)
    here, there = repo.cache.legacy, repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
    source, target = (here, there) if to_remote else (there, here)
    folder = source.fs.join(source.path, "runs", key[:2], key)
    if not source.fs.exists(folder):
        return
    for path in source.fs.find(folder):
        copy = target.fs.join(target.path, "runs", key[:2], key, source.fs.name(path))
        if not target.fs.exists(copy):
            target.fs.makedirs(target.fs.parent(copy), exist_ok=True)
            generic.copy(source.fs, path, target.fs, copy)
