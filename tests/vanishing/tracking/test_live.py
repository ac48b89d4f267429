"""A training run is shown in MLflow while it runs, also when MLflow or training fails."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from stages import track, train
from tests.support.mlflow_server import runs
from tests.support.processes import until
from tests.support.servers import free_port
from tests.support.study import (
    ROOT,
    copy_study,
    prepare_training,
    tiny_params,
    write_lock,
    write_params,
)
from vanishing import paths
from vanishing.environment import LIVE_METRICS
from vanishing.files import write_text
from vanishing.tracking import journal, live
from vanishing.tracking.journal import Journal
from vanishing.tracking.scalars import Scalar
from vanishing.tracking.tags import IDENTITY, PARENT, SEED, SOURCE, TRAINING, VARIANT

EPOCH = {"kind": "epoch", "row": {"epoch": 1, "step": 20, "train_loss": 0.5, "test_loss": "NaN"}}
NORM = {"step": 1, "layer_index": 0, "layer": "output", "value": 2.0}
TRACE = {
    "kind": "trace",
    "rows": [{**NORM, "tensor": "weight_gradient", "statistic": "l2_norm"}],
    "loss": 0.7,
}
METRICS = {"train_loss", "test_loss", "train_loss_batch", "weight_gradient_00_output"}


@pytest.fixture
def uri(workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a workspace with an empty store."""
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def close(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Make this process a viewer; give a function that closes its standard input."""
    reader, writer = os.pipe()
    with open(reader) as file:
        monkeypatch.setattr(sys, "stdin", file)
        monkeypatch.setattr(live, "INTERVAL_S", 0.01)
        monkeypatch.setattr(os, "nice", lambda _: 0)
        yield lambda: os.close(writer)


def write_journal(*lines: dict[str, Any], error: Exception | None = None) -> None:
    """Write the journal of a training run that ends well, or with an error."""
    write_text(paths.table("history", "relu", 3), "")
    with Journal("relu", 3, "cpu", lambda: 0) as opened:
        for line in lines:
            opened.write(line)
        if error is not None:
            raise error


def test_the_metrics_of_a_journal_are_named_as_they_are_afterwards() -> None:
    assert live.metrics(TRACE) == [
        Scalar("train_loss_batch", 0.7, 1),
        Scalar("weight_gradient_00_output", 2.0, 1),
    ]
    assert [scalar.name for scalar in live.metrics(EPOCH)] == ["test_loss", "train_loss"]
    assert live.metrics({"kind": "resumed", "epoch": 1, "elapsed_s": 1.0}) == []


@pytest.mark.usefixtures("workspace")
def test_a_journal_is_followed_until_training_has_ended(close: Callable[[], None]) -> None:
    path = paths.journal("relu", 3)
    write_text(path, '{"kind": "start"}\n{"kind": "epo')
    followed = live.follow("relu", 3)
    assert next(followed) == [{"kind": "start"}]
    with path.open("a") as file:
        file.write('ch"}\n')
    assert next(followed) == [{"kind": "epoch"}]
    with path.open("a") as file:
        file.write('{"kind": "end"}\n')
    close()
    assert list(followed) == [[{"kind": "end"}]]


def test_a_training_that_ended_has_a_finished_run(uri: str, close: Callable[[], None]) -> None:
    write_journal(EPOCH, TRACE)
    close()
    live.main(["relu", "3"])
    (run,) = runs(uri)
    assert (run.info.run_name, run.info.status) == ("relu seed 3", "FINISHED")
    assert run.data.metrics.keys() == METRICS
    start, *_, end = journal.read("relu", 3)
    expected = {VARIANT: "relu", SEED: "3", TRAINING: start["training"], SOURCE: "stages/train.py"}
    assert run.data.tags.items() >= expected.items()
    assert run.info.start_time == int(start["time"] * 1000)
    assert run.info.end_time == int(end["time"] * 1000)


def test_a_training_that_failed_has_a_failed_run(uri: str, close: Callable[[], None]) -> None:
    with pytest.raises(ValueError, match="too deep"):
        write_journal(EPOCH, error=ValueError("too deep"))
    close()
    live.main(["relu", "3"])
    assert [run.info.status for run in runs(uri)] == ["FAILED"]


@pytest.mark.usefixtures("workspace")
def test_a_server_that_is_down_costs_one_warning(
    close: Callable[[], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    write_journal(EPOCH)
    close()
    live.main(["relu", "3"])
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning:" in line]
    assert len(warnings) == 1
    assert warnings[0].startswith(
        f"warning: relu seed 3: no more live metrics: MLflow at {address}"
    )
    assert warnings[0].endswith("training continues, and `make track` completes the run")


def test_a_mistake_in_params_yaml_while_training_costs_one_warning(
    workspace: Path, close: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_journal(EPOCH)
    (workspace / "params.yaml").write_text("train: [")
    close()
    live.main(["relu", "3"])
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: relu seed 3: no more live metrics: params.yaml: not YAML")


@pytest.fixture
def viewers(uri: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a workspace where a training starts its viewer at once."""
    prepare_training()
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(LIVE_METRICS, "1")
    monkeypatch.setattr(journal, "PATIENCE_S", 60.0)  # the tests' machine may be busy
    return uri


@pytest.mark.slow
def test_a_finished_training_has_shown_all_its_metrics_and_track_completes_its_run(
    viewers: str, study_folder: Path, workspace: Path
) -> None:
    train.main(["relu", "0"])
    (shown,) = runs(viewers)
    assert (shown.info.run_name, shown.info.status) == ("relu seed 0", "FINISHED")
    client = MlflowClient(tracking_uri=viewers)

    def steps(name: str) -> list[int]:
        return [metric.step for metric in client.get_metric_history(shown.info.run_id, name)]

    assert steps("train_loss_batch") == [1, 10, 20, 30, 40]
    assert steps("test_loss") == [0, 1, 2]
    # The results of `study_folder` are the same, as the same seed gives the same bytes.
    content = paths.journal("relu", 0).read_text()
    for path in ("data", "models", ".study"):
        shutil.rmtree(path)
    for path in ("dvc.yaml", "stages", "vanishing"):
        Path(path).unlink()
    copy_study(study_folder, workspace)
    paths.journal("relu", 0).write_text(content)
    write_lock(workspace)
    track.main([])
    (completed,) = [run for run in runs(viewers) if run.info.run_name == "relu seed 0"]
    assert completed.info.run_id == shown.info.run_id
    assert completed.data.tags.keys() >= {IDENTITY, PARENT}
    shown_span, span = ((run.info.start_time, run.info.end_time) for run in (shown, completed))
    assert span == shown_span  # that of the training, whenever `track` completed its run
    assert steps("train_loss_batch") == [1, 10, 20, 30, 40]  # none is there twice
    assert completed.data.metrics["system/train_duration_s"] > 0
    assert client.list_artifacts(shown.info.run_id, "models")


@pytest.mark.slow
def test_a_training_that_is_killed_leaves_a_failed_run(viewers: str, workspace: Path) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 100_000, "snapshots": [0, "last"]}
    write_params(workspace, content)
    command = [sys.executable, "-m", "stages", "train"]
    trainings = {
        signal.SIGKILL: subprocess.Popen([*command, "relu", "0"]),
        signal.SIGTERM: subprocess.Popen([*command, "sigmoid", "0"]),
    }
    try:
        until(lambda: [bool(run.data.metrics) for run in runs(viewers)] == [True, True])
        assert [run.info.status for run in runs(viewers)] == ["RUNNING", "RUNNING"]
    finally:
        for way, training in trainings.items():
            training.send_signal(way)
            training.wait()
    until(lambda: [run.info.status for run in runs(viewers)] == ["FAILED", "FAILED"])


@pytest.mark.slow
@pytest.mark.usefixtures("viewers")
def test_a_server_that_never_answers_costs_one_warning_and_little_patience(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        monkeypatch.setattr(journal, "PATIENCE_S", 0.5)
        train.main(["relu", "0"])
    assert paths.table("history", "relu", 0).exists()
    warnings = [line for line in capfd.readouterr().err.splitlines() if "warning:" in line]
    assert len(warnings) == 1
    assert "MLflow did not take all live metrics within 0.5 s after training" in warnings[0]
