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

from dvc.repo import Repo

from cluster.sharing import Sharing
from vanishing.errors import StudyError


def user_folder() -> Path:
    """Return this user's folder for scratch copies and caches; create it if it is missing.

    Raises:
        StudyError: If it belongs to another user, who could put results into it.
    """
    folder = Path(tempfile.gettempdir(), f"dvc-cluster-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StudyError(f"{folder}: is not a folder of this user's; remove it, or set TMPDIR")
    return folder


def sources(root: Path) -> set[str]:
    """List the files of a working tree that Git tracks, or would add; edits need no commit.

    Data and outputs are ignored by Git and so are not listed. A link to a file is listed, a link to
    a folder and a submodule are not, nor is a file that was deleted.

    Args:
        root: The root of the repository.

    Returns:
        Paths relative to the root.

    Raises:
        StudyError: If the folder is not in a Git repository.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=True)  # noqa: S603
    except subprocess.CalledProcessError as error:
        raise StudyError(f"{root}: Git cannot list its files: {error.stderr.strip()}") from None
    return {name for name in done.stdout.split("\0") if name and (root / name).is_file()}


def pack(root: Path, names: Iterable[str]) -> bytes:
    """Pack files and folders into an archive.

    A link is packed as the file or folder that it leads to: DVC takes a dvc.yaml for one of the
    folder that it is in, link or not. Names that do not exist are left out.

    Args:
        root: The folder that holds them.
        names: Paths relative to it.

    Returns:
        A compressed tar archive.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as tar:
        for name in sorted(names):
            if (root / name).exists():
                tar.add(root / name, arcname=name)
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Unpack an archive of `pack`.

    Without tarfile's `filter`, which refuses links and paths that lead outside, since the first
    releases of Python 3.11 lack it.

    Raises:
        StudyError: At a member that is neither file nor folder, or would land outside `folder`.
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


def configure(folder: Path, sharing: Sharing, scratch: Path) -> None:
    """Point the DVC of a copy at the shared cache or the remote.

    The copy's cache is a link, since DVC cannot write a path of other letters than ASCII's into its
    settings.

    Args:
        folder: The copy.
        sharing: How results travel.
        scratch: The folder for DVC's temporary files; it is deleted with the copy.
    """
    link = folder / ".dvc/cache"
    link.parent.mkdir(exist_ok=True)
    Path(sharing.cache).mkdir(parents=True, exist_ok=True)
    link.symlink_to(sharing.cache)
    with Repo(str(folder), uninitialized=True) as repo, repo.config.edit("local") as config:
        config["core"] |= {"no_scm": True, "analytics": False, "site_cache_dir": str(scratch)}
        config["cache"]["dir"] = os.path.relpath(link)  # which DVC makes relative to its settings
        if sharing.remote:
            name = sharing.remote["name"]
            config["core"]["remote"] = name
            config["remote"].setdefault(name, {}).update(sharing.remote["settings"])
