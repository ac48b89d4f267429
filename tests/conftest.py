"""Fixtures: an empty workspace with tiny parameters, and one whole study of three variants."""

from vanishing import environment

environment.prepare()  # before torch is imported

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.study import DIGITS, run_stages, tiny_params, write_params
from vanishing.params.load import load
from vanishing.params.diagnose import Params
from vanishing.tracking.journal import SWITCH


@pytest.fixture(autouse=True, scope="session")
def _offline() -> Iterator[None]:
    """Let every download come from the fixture, and every MLflow store be a test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNIST_SOURCE", str(DIGITS))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv(SWITCH, "0")  # a process per training that imports MLflow
        yield


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty folder with tiny parameters, as the working directory."""
    write_params(tmp_path, tiny_params())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def study_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run every stage but `track` once on the tiny parameters; for reading only."""
    folder = tmp_path_factory.mktemp("study")
    write_params(folder, tiny_params())
    with contextlib.chdir(folder):
        run_stages(list(tiny_params()["variants"]))
    return folder


@pytest.fixture
def study(study_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the finished study as the working directory; for reading only."""
    monkeypatch.chdir(study_folder)
    return study_folder


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
    from mlflow import MlflowClient  # noqa: PLC0415 - seconds that most tests do without

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path
