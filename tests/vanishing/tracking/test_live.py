"""A training run is shown while it runs, also when MLflow or training fails."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from stages import extract, track, train
from tests.support.mlflow_server import runs
from tests.support.processes import until
from tests.support.study import (
    ROOT,
    copy_study,
    prepare_training,
    tiny_params,
    write_lock,
    write_params,
)
from vanishing import paths
from vanishing.errors import StudyError
from vanishing.tracking import journal
from vanishing.tracking.store import IDENTITY, PARENT


@pytest.fixture
def uri(workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give a workspace with raw data and an empty store, where live metrics are on."""
    prepare_training()
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(journal.SWITCH, "1")
    monkeypatch.setattr(journal, "PATIENCE_S", 60.0)  # the tests' machine may be busy
    return uri


def test_a_finished_training_has_shown_all_its_metrics_and_track_completes_its_run(
    uri: str, study_folder: Path, workspace: Path
) -> None:
    train.main(["relu", "0"])
    (live,) = runs(uri)
    assert (live.info.run_name, live.info.status) == ("relu seed 0", "FINISHED")
    client = MlflowClient(tracking_uri=uri)
    losses = client.get_metric_history(live.info.run_id, "loss")
    assert [m.step for m in losses] == [1, 10, 20, 30, 40]
    assert [m.step for m in client.get_metric_history(live.info.run_id, "test_loss")] == [0, 1, 2]
    extract.main(["relu", "0"])
    shown = workspace / paths.journal("relu", 0)
    content = shown.read_text()
    for folder in ("data", "models", ".study"):
        shutil.rmtree(workspace / folder)
    for link in ("dvc.yaml", "stages", "vanishing"):
        (workspace / link).unlink()
    copy_study(study_folder, workspace)
    shown.write_text(content)  # of the same results: the same seed gives the same bytes
    write_lock(workspace)
    track.main([])
    (completed,) = [run for run in runs(uri) if run.info.run_name == "relu seed 0"]
    assert completed.info.run_id == live.info.run_id
    assert completed.data.tags.keys() >= {IDENTITY, PARENT}
    losses = client.get_metric_history(live.info.run_id, "loss")
    assert [m.step for m in losses] == [1, 10, 20, 30, 40]  # and not twice
    assert completed.data.metrics["system/train_duration_s"] > 0
    assert client.list_artifacts(live.info.run_id, "models")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_leaves_a_failed_run(
    uri: str, workspace: Path, how: signal.Signals
) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 100_000, "snapshots": [0, 100_000]}
    write_params(workspace, content)
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", "train", "relu", "0"], cwd=workspace
    )
    try:
        until(lambda: any(run.data.metrics for run in runs(uri)))
        assert [run.info.status for run in runs(uri)] == ["RUNNING"]
    finally:
        process.send_signal(how)
        process.wait()
    until(lambda: [run.info.status for run in runs(uri)] == ["FAILED"])


def test_a_training_that_fails_says_so(uri: str, workspace: Path) -> None:
    (workspace / paths.table("trace", "relu", 0)).mkdir(parents=True)  # no file can replace it
    with pytest.raises(StudyError, match=r"trace\.parquet: cannot be written: Is a directory"):
        train.main(["relu", "0"])
    assert [run.info.status for run in runs(uri)] == ["FAILED"]
    *_, last = journal.read("relu", 0)
    assert last["kind"] == "failed"


@pytest.fixture
def deaf() -> Iterator[int]:
    """Give the port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("uri")
def test_a_server_that_is_not_there_costs_one_warning(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    train.main(["relu", "0"])
    assert (workspace / paths.table("history", "relu", 0)).exists()
    warnings = [x for x in capfd.readouterr().err.splitlines() if "warning:" in x]
    assert len(warnings) == 1
    assert f"127.0.0.1:{port}" in warnings[0]
    assert "`make track` completes the run" in warnings[0]


@pytest.mark.usefixtures("uri")
def test_a_server_that_never_answers_costs_one_warning_and_little_patience(
    workspace: Path, deaf: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{deaf}")
    monkeypatch.setattr(journal, "PATIENCE_S", 0.5)
    train.main(["relu", "0"])
    assert (workspace / paths.table("history", "relu", 0)).exists()
    warnings = [x for x in capfd.readouterr().err.splitlines() if "warning:" in x]
    assert len(warnings) == 1
    assert "not done with the live metrics 0.5 s after training" in warnings[0]


@pytest.mark.usefixtures("uri")
def test_live_metrics_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(journal.SWITCH, "0")
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a process was started"))
    train.main(["relu", "0"])
    kinds = [line["kind"] for line in journal.read("relu", 0)]
    assert kinds == ["start", "epoch", *["trace"] * 3, "epoch", *["trace"] * 2, "epoch", "end"]


def test_half_a_line_of_a_journal_is_not_read(workspace: Path) -> None:
    assert list(journal.read("relu", 0)) == []
    paths.journal("relu", 0).parent.mkdir(parents=True)
    paths.journal("relu", 0).write_text('{"kind": "start"}\n{"kind": "tra')
    assert [line["kind"] for line in journal.read("relu", 0)] == ["start"]
    assert workspace


def test_eight_writers_share_one_new_sqlite_store(workspace: Path) -> None:
    code = """
import sys
from pathlib import Path
from vanishing.tracking.identity import experiment
from vanishing.tracking.scalars import Scalar
from vanishing.tracking.store import FINISHED, MLflowStore
name = sys.argv[1]
store = MLflowStore(experiment(Path()))
run_id = store.begin(name, {})
for step in range(20):
    store.log(run_id, [Scalar(f"m{i}", float(step), step) for i in range(50)])
store.end(run_id, FINISHED)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment |= {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace}/new.db"}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"writer-{i}"],
            cwd=workspace,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(8)
    ]
    for writer in writers:
        _, printed = writer.communicate()
        assert writer.returncode == 0, printed
    written = runs(f"sqlite:///{workspace}/new.db")
    assert sorted(run.info.run_name for run in written) == [f"writer-{i}" for i in range(8)]
    client = MlflowClient(tracking_uri=f"sqlite:///{workspace}/new.db")
    for run in written:
        assert run.info.status == "FINISHED"
        steps = [m.step for m in client.get_metric_history(run.info.run_id, "m49")]
        assert sorted(steps) == list(range(20))
