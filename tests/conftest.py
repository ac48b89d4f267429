"""Fixtures: an empty workspace with tiny parameters, and a finished study of three variants.

The finished study is made once, and shared by all workers of pytest-xdist.
"""

import contextlib
import os

from vanishing import environment

for _name in list(os.environ):  # settings of whoever runs the tests, for other programs than these
    if _name.startswith(("AWS_", "DVC_", "GIT_", "MLFLOW_", "RAY_", "VANISHING_")):
        del os.environ[_name]
environment.prepare()  # before torch is imported

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from tests.support import dvc_repository, s3_server
from tests.support.s3_server import Bucket
from tests.support.servers import free_port
from tests.support.study import (
    DIGITS,
    copy_study,
    run,
    run_stages,
    tiny_params,
    write_params,
)
from vanishing.params.diagnose import Params
from vanishing.params.load import load


@pytest.fixture(autouse=True, scope="session")
def _offline() -> Iterator[None]:
    """Let every download come from the fixture, and every MLflow store be a test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environment.DATA_SOURCE, str(DIGITS))
        patch.setenv(environment.LIVE_METRICS, "0")  # a process per training that imports MLflow
        patch.setenv(
            "AWS_EC2_METADATA_DISABLED", "true"
        )  # else S3's client asks the network for keys
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # else eight seconds where no server is
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):  # of whoever runs the tests
            patch.setenv(name, "/no/such/file")
        yield


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder with tiny parameters, as the working directory."""
    write_params(tmp_path, tiny_params())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def judged_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage up to `diagnose` once on the tiny parameters; for reading only."""

    def fill(folder: Path) -> None:
        write_params(folder, tiny_params())
        with contextlib.chdir(folder):
            run_stages(list(tiny_params()["variants"]))

    return make_once(tmp_path_factory, "judged", fill)


@pytest.fixture(scope="session")
def study_folder(judged_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage but `track` once on the tiny parameters; for reading only."""

    def fill(folder: Path) -> None:
        write_params(folder, tiny_params())
        copy_study(judged_folder, folder)
        with contextlib.chdir(folder):
            run("render")
            run("report")

    return make_once(tmp_path_factory, "study", fill)


@pytest.fixture
def study(study_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the finished study as the working directory; for reading only."""
    monkeypatch.chdir(study_folder)
    return study_folder


@pytest.fixture
def judged(judged_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the study as `diagnose` leaves it, as the working directory; for reading only."""
    monkeypatch.chdir(judged_folder)
    return judged_folder


@pytest.fixture
def judged_copy(judged_folder: Path, workspace: Path) -> Path:
    """Give a copy of the study as `diagnose` leaves it, as the working directory, to change."""
    copy_study(judged_folder, workspace)
    return workspace


@pytest.fixture(scope="session")
def finished(
    study_folder: Path, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Give a repository in which the whole pipeline has run; for reading only."""

    def fill(folder: Path) -> None:
        repository = folder.with_name("repository")
        dvc_repository.lay_out_finished(repository, study_folder, empty_store)

    return make_once(tmp_path_factory, "finished", fill).with_name("repository")


@pytest.fixture
def repository(finished: Path, tmp_path: Path) -> Path:
    """Give a copy of the finished repository, to change."""
    dvc_repository.copy_repository(finished, tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def settings(workspace: Path) -> Params:
    """Give the tiny parameters, validated."""
    return load(Params, workspace / "params.yaml")


@pytest.fixture
def rng() -> torch.Generator:
    """Give a generator that no other test shares."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create an empty MLflow database once: its migrations take seconds."""

    def fill(folder: Path) -> None:
        from mlflow import MlflowClient  # noqa: PLC0415 - seconds that most tests do without

        MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db").search_experiments()

    return make_once(tmp_path_factory, "store", fill) / "mlflow.db"


@pytest.fixture(scope="session")
def s3_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run a server that speaks S3, on this port of 127.0.0.1."""
    port = free_port()
    with s3_server.serving(port, tmp_path_factory.mktemp("s3")):
        yield port


@pytest.fixture
def bucket(s3_port: int) -> Bucket:
    """Give an empty bucket."""
    return Bucket(s3_port)


def make_once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """Return a folder that the first worker of pytest-xdist to come fills, and the others share."""
    parent = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        parent = parent.parent
    folder = parent / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            unfinished = parent / f"{name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            fill(unfinished)
            unfinished.rename(folder)
    return folder
