"""The set-up: what it refuses, in one line each, and that it leaves well alone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.study import ROOT

LOCKS = ("requirements.lock", "requirements-uv.lock")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a Git checkout with the set-up and its locks, and a bin/ for fake commands."""
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(ROOT / "tools/setup.sh", folder / "tools")
    for lock in LOCKS:
        shutil.copy(ROOT / lock, folder)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def fake(checkout: Path, name: str, script: str) -> Path:
    """Put a command before all others on PATH."""
    path = checkout.parent / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def setup(checkout: Path, path: str | None = None, **environment: str) -> tuple[int, str]:
    """Run the set-up; return its exit status and what it printed."""
    first = f"{checkout.parent / 'bin'}{os.pathsep}{path or os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "tools/setup.sh"],
        cwd=checkout,
        env={**os.environ, "PATH": first, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def refused(checkout: Path, said: str, path: str | None = None, **environment: str) -> None:
    """Check that the set-up refuses in one line and leaves nothing behind."""
    status, printed = setup(checkout, path, **environment)
    assert status == 1
    assert printed.count("\n") == 1, printed
    assert said in printed
    assert not (checkout / ".venv").exists()


def test_an_unsupported_python_is_refused(checkout: Path) -> None:
    old = fake(checkout, "python3.10", '[ "$1" = --version ] && echo Python 3.10.4 || exit 1')
    refused(checkout, "3.11, 3.12 or 3.13 is needed", PYTHON=str(old))
    refused(checkout, "Python 3.10.4", PYTHON=str(old))


def test_a_missing_python_is_named(checkout: Path) -> None:
    refused(checkout, "3.11, 3.12 or 3.13 is needed", PYTHON="/nowhere/python")


def test_a_missing_git_is_named(checkout: Path) -> None:
    for name in ("cksum", "cat", "df", "awk", "head"):
        fake(checkout, name, f'exec {shutil.which(name)} "$@"')
    refused(checkout, "git is needed", path=str(checkout.parent / "bin"))


def test_a_folder_that_is_no_checkout_is_refused(checkout: Path) -> None:
    shutil.rmtree(checkout / ".git")
    refused(checkout, "not a Git checkout", GIT_CEILING_DIRECTORIES=str(checkout.parent))


def test_a_full_disk_is_refused_before_anything_is_written(checkout: Path) -> None:
    fake(checkout, "df", "printf 'head\\nfs 100 99 1048576 99%% /\\n'")
    refused(checkout, "11 GiB of free disk are needed here and 1 GiB are free")


def test_an_environment_that_is_as_locked_is_left_alone(checkout: Path) -> None:
    (checkout / ".venv/bin").mkdir(parents=True)
    python = checkout / ".venv/bin/python"
    python.symlink_to(Path(sys.executable).resolve())
    locks = b"".join((checkout / lock).read_bytes() for lock in reversed(LOCKS))
    wanted = subprocess.run(["cksum"], input=locks, capture_output=True, check=True)
    (checkout / ".venv/.synced").write_bytes(wanted.stdout)
    fake(checkout, "df", "echo must not be called; exit 1")
    assert setup(checkout) == (0, "")
