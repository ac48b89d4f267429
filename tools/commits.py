"""The files of studies as they are in commits, read from Git alone."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.studies import STUDIES
from vanishing.comparing.results import FILES, Results
from vanishing.errors import StudyError
from vanishing.paths import FIGURES, PARAMS
from vanishing.pipeline.source import Source

REQUIREMENTS = Path("requirements.lock")

# Of a commit that no person makes: no person's signature, and no hooks, which may refuse or change
# files whose hashes dvc.lock has.
OF_NO_PERSON = (
    *("user.name=study", "user.email=study@localhost"),
    *("commit.gpgsign=false", f"core.hooksPath={os.devnull}"),
)


class GitError(StudyError):
    """Git failed; what it said, in one line."""


def git(command: str, *arguments: str, settings: Sequence[str] = (), given: str = "") -> str:
    """Run Git.

    Args:
        command: Of Git.
        *arguments: Of the command.
        settings: `name=value`; they go before those of the user's and the repository's files.
        given: Its standard input.

    Returns:
        What it printed.

    Raises:
        GitError: If it fails.
    """
    options = [word for setting in settings for word in ("-c", setting)]
    done = subprocess.run(
        ["git", *options, command, *arguments],
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        input=given,
    )
    if done.returncode:
        raise GitError(f"git {command}: {' '.join(done.stderr.split())}")
    return done.stdout


class Commit:
    """A commit; paths are relative to the working directory, which may be any folder of it."""

    def __init__(self, name: str) -> None:
        self.sha = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()

    def text(self, path: Path) -> str:
        """Return the content of a file, or '' if the commit has no such file."""
        try:
            return git("show", f"{self.sha}:./{path.as_posix()}")
        except GitError:
            return ""

    def has(self, path: Path) -> bool:
        """Tell whether the commit has a file."""
        return bool(git("ls-tree", self.sha, "--", path.as_posix()))

    def digests(self, folder: Path) -> Iterator[tuple[Path, str]]:
        """Yield each file in a folder, with Git's digest of its content."""
        for line in git("ls-tree", "-r", "-z", self.sha, "--", folder.as_posix()).split("\0")[:-1]:
            about, _, name = line.partition("\t")
            yield Path(name), about.split()[2]

    def unpack_code(self, folder: Path) -> None:
        """Write the Python files of the commit into a folder; they are read there, not run."""
        command = ["git", "archive", self.sha, "--", "*.py*"]
        archive = subprocess.run(command, check=False, capture_output=True).stdout
        if not archive:  # there are none
            return
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            for member in files:
                path = folder / member.name
                content = files.extractfile(member) if member.isfile() else None
                if content is not None and ".." not in path.parts:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())

    def studies(self) -> list[Path]:
        """Return the folders of the studies, the root first."""
        paths = ("--", PARAMS.as_posix(), STUDIES.as_posix())
        names = git("ls-tree", "-r", "-z", "--name-only", self.sha, *paths)
        folders = [
            Path(name).parent for name in names.split("\0") if Path(name).name == PARAMS.name
        ]
        return [folder for folder in folders if folder == Path() or folder.parent == STUDIES]


def results(commit: Commit, folder: Path, source: Path) -> Results:
    """Read the results of one study in one commit.

    Args:
        commit: The commit.
        folder: The study's folder, relative to the root of the project.
        source: A folder with the Python files of the commit.

    Returns:
        The results; empty if the commit has no such study.
    """
    return Results(
        f"{commit.sha[:9]}, {folder}",
        {path: commit.text(folder / path) for path in FILES},
        {path.relative_to(folder): digest for path, digest in commit.digests(folder / FIGURES)},
        commit.text(REQUIREMENTS),
        Source([source / folder, source]),
    )


def changed_files(before: Commit, after: Commit) -> list[Path]:
    """Return the files that differ between two commits, relative to the root."""
    names = git("diff", "--relative", "--no-renames", "--name-only", "-z", before.sha, after.sha)
    return [Path(name) for name in names.split("\0") if name]


def commit_files(files: Sequence[Path], message: str) -> str:
    """Make a commit of some files alone, without a history; no branch and no file here changes.

    Args:
        files: Their names differ.
        message: Of the commit.

    Returns:
        Its hash.
    """
    digests = {file.name: git("hash-object", "-w", "--", str(file)).strip() for file in files}
    listing = "".join(f"100644 blob {digest}\t{name}\n" for name, digest in digests.items())
    tree = git("mktree", given=listing).strip()
    return git("commit-tree", tree, "-m", message, settings=OF_NO_PERSON).strip()
