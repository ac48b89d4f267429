"""A clean copy of a workspace: packed by the driver, unpacked where a stage runs."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo

from stages.core.errors import StudyError


class Sharing(NamedTuple):
    """How results travel between workspaces.

    Attributes:
        cache: The cache folder that all share, on one machine; else empty.
        remote: The DVC remote's name and settings, between machines; else empty.
    """

    cache: str
    remote: dict[str, Any]


def pack(root: Path) -> bytes:
    """Pack what Git knows or would add, with edits not yet committed; no data, no outputs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    names = {*listed, ".dvc/config.local"} - {""}  # the latter is ignored, but may have secrets
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in sorted(names):
            if (root / name).is_file():
                tar.add(root / name, arcname=name)
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path, sharing: Sharing, scratch: Path) -> None:
    """Unpack a workspace, and point its DVC at the shared cache or the remote.

    Args:
        archive: What `pack` returned.
        folder: An empty folder.
        sharing: How results travel.
        scratch: For DVC's own files; a folder that is deleted with the copy.
    """
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        tar.extractall(folder, filter="data")
    (folder / ".dvc").mkdir(exist_ok=True)
    with Repo(str(folder), uninitialized=True) as repo, repo.config.edit("local") as config:
        config["core"] |= {"no_scm": True, "analytics": False, "site_cache_dir": str(scratch)}
        config["cache"]["dir"] = sharing.cache
        if sharing.remote:
            name = sharing.remote["name"]
            config["core"]["remote"] = name
            config["remote"].setdefault(name, {}).update(sharing.remote["settings"])


def sharing(root: Path, several_machines: bool) -> Sharing:
    """Find out how results can travel, and that they can, before any work begins.

    Returns:
        How.

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
            odb = repo.cloud.get_remote_odb(name)
            odb.fs.makedirs(odb.path, exist_ok=True)
            odb.fs.ls(odb.path)
        except Exception as error:  # noqa: BLE001 - each file system has its own
            raise StudyError(
                f"the DVC remote {name} ({settings['url']}) cannot be reached: {error}"
            ) from None
        return Sharing("", {"name": name, "settings": settings})
