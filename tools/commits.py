"""The files of studies as they are in commits, read from Git alone."""

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vanishing.errors import StudyError, in_one_line
from vanishing.paths import PARAMS

STUDIES = Path("studies")  # further studies are its sub-folders; the first is the root


def git(*arguments: str) -> str:
    """Run Git and return its output."""
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, encoding="utf-8")
    return done.stdout


class Commit:
    """A commit; paths are relative to the working directory, which may be any folder of it."""

    def __init__(self, name: str) -> None:
        self.sha = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def text(self, path: Path) -> str:
        """Return the content of a file, or '' if the commit has no such file."""
        try:
            return git("show", f"{self.sha}:./{path.as_posix()}")
        except subprocess.CalledProcessError:
            return ""

    def has(self, path: Path) -> bool:
        """Tell whether the commit has a file."""
        return bool(git("ls-tree", self.sha, "--", path.as_posix()))

    def studies(self) -> list[Path]:
        """Return the folders of the studies, the root first."""
        names = git(
            *("ls-tree", "-r", "-z", "--name-only", self.sha),
            *("--", PARAMS.as_posix(), STUDIES.as_posix()),
        )
        folders = [
            Path(name).parent for name in names.split("\0") if Path(name).name == PARAMS.name
        ]
        return [folder for folder in folders if folder == Path() or folder.parent == STUDIES]


class StudyFiles(NamedTuple):
    """The files of one study in one commit.

    Attributes:
        commit: The commit.
        folder: The study's folder, relative to the root of the repository.
    """

    commit: Commit
    folder: Path

    def yaml(self, path: Path) -> dict[str, Any]:
        """Return the content of a YAML file; a missing file is empty."""
        try:
            return YAML(typ="safe", pure=True).load(self.commit.text(self.folder / path)) or {}
        except YAMLError as error:
            raise self._unreadable(path, error) from None

    def json(self, path: Path, default: Any) -> Any:
        """Return the content of a JSON file, or `default` if it is missing."""
        text = self.commit.text(self.folder / path)
        try:
            return json.loads(text) if text else default
        except json.JSONDecodeError as error:
            raise self._unreadable(path, error) from None

    def _unreadable(self, path: Path, error: Exception) -> StudyError:
        return StudyError(
            f"{self.folder / path} in {self.commit.sha[:9]}: {in_one_line(error)}; commit a whole"
            " file, without marks of a conflict"
        )


def changed_files(before: Commit, after: Commit) -> list[Path]:
    """Return the files that differ between two commits, relative to the root."""
    names = git("diff", "--relative", "--no-renames", "--name-only", "-z", before.sha, after.sha)
    return [Path(name) for name in names.split("\0") if name]
