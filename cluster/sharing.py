"""How results travel between the workspaces of stages: a cache folder or a DVC remote."""

import uuid
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
        StudyError: If there is no remote, or it cannot be reached.
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
        settings = dict(repo.config["remote"][name])
        try:
            _write_to_remote(repo, name)
        except Exception as error:  # noqa: BLE001 - every file system has its own
            raise StudyError(
                f"the DVC remote {name} ({settings['url']}) cannot be reached: {in_one_line(error)}"
            ) from None
        return Sharing("", {"name": name, "settings": settings})


def _write_to_remote(repo: Repo, name: str) -> None:
    """Write a file: listing an empty bucket and a missing one gives the same."""
    odb = repo.cloud.get_remote_odb(name, hash_name="md5-dos2unix")
    odb.fs.makedirs(odb.path, exist_ok=True)
    path = odb.fs.join(odb.path, f".cluster-{uuid.uuid4().hex}")
    odb.fs.pipe_file(path, b"")
    with suppress(Exception):  # permission to write does not imply permission to delete
        odb.fs.remove(path)
