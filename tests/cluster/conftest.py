"""Fixtures: a small DVC repository, and the results that plain `dvc repro` gives in it."""

import os
from pathlib import Path

import pytest

from tests.cluster import toy
from tests.support.dvc_repository import call


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the pipeline DIAMOND as plain `dvc repro` leaves it; for reading only."""
    folder = tmp_path_factory.mktemp("plain") / "repository"
    toy.lay_out_diamond(folder)
    toy.dvc(folder, "repro", RUNS=os.devnull)
    return folder


@pytest.fixture
def project(expected: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a fresh clone of the pipeline DIAMOND, as the working directory."""
    folder = tmp_path / "project"
    call(tmp_path, "git", "clone", "-q", str(expected), str(folder))
    monkeypatch.chdir(folder)
    return folder
