"""A clean copy of a workspace: packed by the driver, unpacked where a stage runs."""

import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from dvc.repo import Repo

from vanishing.errors import StudyError


class Sharing(NamedTuple):
    """How results travel between workspaces.

    Attributes:
        cache: The cache folder that all share, on one machine; else empty.
        remote: The DVC remote's name and settings, between machines; else empty.
    """

    cache: str
    remote: dict[str, Any]


def own_folder() -> Path:
    """Return this user's folder for scratch copies and caches, which nobody else has made.

    Raises:
        StudyError: If somebody else has: they could put results of their own into it.
    """
    folder = Path(tempfile.gettempdir(), f"dvc-cluster-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StudyError(f"{folder}: is not a folder of this user's; remove it, or set TMPDIR")
    return folder


def pack(root: Path, names: Iterable[str]) -> bytes:
    """Pack files, folders with what is in them, and what links lead to; leave out what is not."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as tar:
        for name in sorted(names):
            if (root / name).exists():
                tar.add(root / name, arcname=name)
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack what `pack` returned.

    By hand, since not every Python 3.11 has tarfile's `filter`, which keeps links and paths in.

    Raises:
        StudyError: At what is neither file nor folder, or would land outside `folder`.
    """
    root = folder.resolve()
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for member in tar:
            target = (root / member.name).resolve()
            content = tar.extractfile(member) if member.isfile() else None
            if not target.is_relative_to(root) or (content is None and not member.isdir()):
                raise StudyError(f"{member.name}: no file or folder inside {folder}")
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                shutil.copyfileobj(content, file)
            target.chmod(member.mode)


def sources(root: Path) -> set[str]:
    """Return what Git knows or would add, with edits not yet committed; no data, no outputs."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    files = {name for name in listed if name and not (root / name).is_dir()}
    return files | {".dvc/config.local"}  # which Git ignores, but it may have the remote's secrets


def configure(folder: Path, sharing: Sharing, scratch: Path) -> None:
    """Point a copy's DVC at the shared cache or the remote.

    Args:
        folder: The copy.
        sharing: How results travel.
        scratch: For DVC's own files; a folder that is deleted with the copy.
    """
    (folder / ".dvc").mkdir(exist_ok=True)
    with Repo(str(folder), uninitialized=True) as repo, repo.config.edit("local") as config:
        config["core"] |= {"no_scm": True, "analytics": False, "site_cache_dir": str(scratch)}
        config["cache"]["dir"] = sharing.cache
        if sharing.remote:
            name = sharing.remote["name"]
            config["core"]["remote"] = name
            config["remote"].setdefault(name, {}).update(sharing.remote["settings"])
