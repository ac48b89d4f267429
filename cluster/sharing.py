"""How results travel between the workspaces of stages: a cache folder or a DVC remote."""

import threading
import uuid
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo

from vanishing.errors import StudyError, in_one_line


class Sharing(NamedTuple):
    """How results travel between workspaces.

    Attributes:
        cache: On one machine the cache folder that all share; else empty.
        remote: Between machines the DVC remote's name and settings; else empty.
    """

    cache: str
    remote: dict[str, Any]


def find_sharing(root: Path, several_machines: bool) -> Sharing:
    """Find out how results can travel, and try it before any work begins.

    Args:
        root: The repository.
        several_machines: Whether stages run on machines that do not share this one's disk.

    Returns:
        The cache folder for one machine, the default remote for several.

    Raises:
        StudyError: If there is no remote, or it cannot be written.
    """
    with Repo(str(root)) as repo:
        if not several_machines:
            return Sharing(repo.cache.legacy.path, {})
        name = repo.config["core"].get("remote")
        if not name:
            raise StudyError(
                "a cluster needs a DVC remote that all its machines reach, and none is set up:"
                " dvc remote add --default NAME URL (docs/scale.md)"
            )
        try_remote(repo, to_write=True)
        return Sharing("", {"name": name, "settings": dict(repo.config["remote"][name])})


def try_remote(repo: Repo, to_write: bool, limit_s: float = 60.0) -> None:
    """Read or write the default remote, so that one that does not work costs seconds and one line.

    DVC tries every file several times, and waits without end for a server that does not answer.

    Args:
        repo: The repository.
        to_write: Whether a file is written, and removed again; else a folder is listed.
        limit_s: How long the remote has to answer.

    Raises:
        StudyError: If it cannot be read or written.
    """
    name = repo.config["core"].get("remote")
    if not name:
        raise StudyError("no DVC remote is the default: dvc remote default NAME")
    outcome: Future[None] = Future()

    def attempt() -> None:
        try:
            outcome.set_result((_write if to_write else _read)(repo))
        except BaseException as error:  # noqa: BLE001 - every file system has its own
            outcome.set_exception(error)

    threading.Thread(target=attempt, daemon=True).start()  # no exit waits for it
    try:
        outcome.result(limit_s)
    except Exception as error:  # noqa: BLE001
        reason = in_one_line(error).rstrip(".") or f"no answer within {limit_s:.0f} s"
        url = repo.config["remote"].get(name, {}).get("url")
        verb = "written" if to_write else "read"
        raise StudyError(
            f"the DVC remote {name} ({url}) cannot be {verb}: {reason};"
            " mend its address, its credentials or its server (docs/ci.md, A DVC remote)"
        ) from None


def _read(repo: Repo) -> None:
    """List a folder of the remote, which the first push creates."""
    odb = _files(repo)
    try:
        odb.fs.ls(odb.fs.join(odb.path, "files"), detail=False)
    except FileNotFoundError as error:
        if error.__cause__:  # the bucket does not exist
            raise


def _write(repo: Repo) -> None:
    """Write a file: listing an empty bucket and a missing one gives the same."""
    odb = _files(repo)
    odb.fs.makedirs(odb.path, exist_ok=True)
    path = odb.fs.join(odb.path, f".trial-{uuid.uuid4().hex}")
    odb.fs.pipe_file(path, b"")
    with suppress(Exception):  # permission to write does not imply permission to delete
        odb.fs.remove(path)


def _files(repo: Repo) -> Any:
    """Return the default remote's files, from its top folder."""
    return repo.cloud.get_remote_odb(hash_name="md5-dos2unix")
