"""A Git repository with the whole pipeline on the fixture's digits, and commands run in it."""

import ast
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from dvc.config import Config

from tests.support.study import ROOT, tiny_params, write_params
from vanishing import environment
from vanishing.paths import MIRROR

PYTHON = (sys.executable, "-m")
CLOSING = ["diagnose", "render", "report", "track"]

_COPIED = [".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore", "dvc.yaml"]
_COPIED += ["Makefile", "cluster", "stages", "tools", "vanishing"]
_AUTHOR = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t"}
_AUTHOR |= {"GIT_COMMITTER_EMAIL": "t@t", "GIT_CONFIG_GLOBAL": os.devnull}
_OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # of `make test`: a Make below it says more


def lay_out(folder: Path, params: dict[str, Any]) -> None:
    """Create a repository with other parameters and no results."""
    for name in _COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    write_params(folder, params)
    call(folder, "git", "init", "-q")


def lay_out_finished(folder: Path, study: Path, store: Path) -> None:
    """Create a repository in which the whole pipeline has run, and commit the results.

    No stage but `track` runs: DVC takes over results, as it would from a colleague.

    Args:
        folder: Of the repository; MLflow's store keeps its absolute path.
        study: A finished study of the tiny parameters.
        store: An empty database of MLflow's.
    """
    shutil.rmtree(folder, ignore_errors=True)
    lay_out(folder, tiny_params())
    for name in ("data", "models", "reports", ".study"):
        shutil.copytree(study / name, folder / name)
    shutil.copy(store, folder / "mlflow.db")
    stages = ["fingerprint", "validate", "download", "train", "extract", "initialise"]
    call(folder, *PYTHON, "dvc", "commit", "-fq", *stages, "diagnose", "render", "report")
    assert repro(folder) == ["track"]
    call(folder, "git", "add", ".")
    call(folder, "git", "commit", "-qm", "results")


def copy_repository(source: Path, target: Path) -> None:
    """Copy a repository so that `track` finds everything mirrored, as in the original."""
    shutil.copytree(source, target, symlinks=True)
    mirror = json.loads((source / MIRROR).read_bytes())
    mirror["store"] = mirror["store"].replace(str(source), str(target))
    (target / MIRROR).write_text(json.dumps(mirror))
    with closing(sqlite3.connect(target / "mlflow.db")) as database, database:
        for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri")):
            statement = f"UPDATE {table} SET {column} = replace({column}, ?, ?)"  # noqa: S608
            database.execute(statement, (source.as_uri(), target.as_uri()))


def clone(source: Path, target: Path) -> Path:
    """Clone a repository: without data and weights."""
    call(source, "git", "clone", "-q", ".", str(target))
    return target


def set_remote(folder: Path, settings: Mapping[str, str], level: str = "repo") -> None:
    """Make a DVC remote with these settings the default, in .dvc/config or, "local", beside it."""
    with Config(str(folder / ".dvc")).edit(level) as config:
        config["core"]["remote"] = "store"
        config["remote"]["store"] = dict(settings)


def environment_in(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a command in a repository: its code, one thread, nobody's Git."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    roots = [root for root in (folder, *folder.parents) if (root / "vanishing").is_dir()]
    defaults = {"PATH": path, "PYTHONPATH": str((*roots, ROOT)[0]), "OMP_NUM_THREADS": "1"}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_MAKE | environment.FOREIGN
    }
    return inherited | _AUTHOR | defaults | variables


def call(
    folder: Path, *command: str, status: int = 0, variables: dict[str, str] | None = None
) -> str:
    """Run a command in `folder` and return what it printed; it must end as expected."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment_in(folder, **(variables or {})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    return done.stdout


def make(folder: Path, target: str, status: int = 0, **settings: str) -> str:
    """Run a Make target in the tests' own environment and return what it printed."""
    assignments = [f"{name}={value}" for name, value in settings.items()]
    return call(folder, "make", "-o", "setup", target, *assignments, status=status)


def repro(folder: Path, *options: str, **variables: str) -> list[str]:
    """Run `dvc repro` and return the stages that ran (those restored from the cache did not)."""
    printed = call(folder, *PYTHON, "dvc", "repro", *options, variables=variables)
    return re.findall(r"^Running stage '(?:[^':]+:)?([^']+)'", printed, flags=re.MULTILINE)


def ran(printed: str) -> list[str]:
    """Return the stages that ran, from the output of `make repro`."""
    lines = re.findall(r"^ *\d+/\d+  (\S+) +(.*)$", printed, flags=re.MULTILINE)
    return [stage for stage, outcome in lines if not outcome.startswith("restored")]


def edit_code(path: Path) -> None:
    """Add a statement without an effect to every function of a module."""
    lines = path.read_text().splitlines(keepends=True)
    nodes = ast.walk(ast.parse("".join(lines)))
    ends = [node.body[-1] for node in nodes if isinstance(node, ast.FunctionDef)]
    for statement in sorted(ends, key=lambda statement: -statement.lineno):
        decorators = getattr(statement, "decorator_list", [])
        line = min(node.lineno for node in (statement, *decorators))
        lines.insert(line - 1, f"{' ' * statement.col_offset}0\n")
    path.write_text("".join(lines))


def edit_text(path: Path) -> None:
    """Add a remark to a module, and a sentence to its docstring."""
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text), clean=False)
    if docstring:
        text = text.replace(docstring, f"{docstring.rstrip()}\n\nAn added sentence.\n", 1)
    path.write_text(f"{text}# an added remark\n")
