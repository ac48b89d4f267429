"""A Git repository with the whole pipeline on the fixture's digits, and commands run in it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.study import ROOT, write_params

_COPIED = [".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore", "dvc.yaml"]
_COPIED += ["Makefile", "cluster", "stages", "tools", "vanishing"]
_AUTHOR = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t"}
_AUTHOR |= {"GIT_COMMITTER_EMAIL": "t@t", "GIT_CONFIG_GLOBAL": os.devnull}


def lay_out(folder: Path, params: dict[str, Any]) -> None:
    """Make a repository with other parameters and no results."""
    for name in _COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    write_params(folder, params)
    call(folder, "git", "init", "-q")


def surroundings(**variables: str) -> dict[str, str]:
    """Return the environment for a command: this Python first, one thread, nobody's Git."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | _AUTHOR | {"PATH": path, "OMP_NUM_THREADS": "1"} | variables


def call(
    folder: Path, *command: str, status: int = 0, environment: dict[str, str] | None = None
) -> str:
    """Run a command in `folder` and return what it printed; it must end as expected."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=surroundings(**(environment or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def repro(folder: Path, *options: str) -> list[str]:
    """Reproduce and return the stages that ran (those restored from the cache did not)."""
    printed = call(folder, sys.executable, "-m", "dvc", "repro", *options)
    return re.findall(r"^Running stage '([^']+)'", printed, flags=re.MULTILINE)
