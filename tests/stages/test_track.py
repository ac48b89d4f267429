"""MLflow: one finished run per variant and one for the report, however often track runs."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from stages import track


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create an empty MLflow database once: its migrations take seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def client(
    study_folder: Path, workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """Give the finished study as working directory, with an empty store."""
    for folder in ("models", "data", "reports"):
        shutil.copytree(study_folder / folder, workspace / folder)
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"  # in full: MLflow keeps a store per URI and process
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(tracking_uri=uri)


def runs(client: MlflowClient) -> dict[str, list[Run]]:
    """Return the runs by name."""
    experiment = client.get_experiment_by_name(track.EXPERIMENT)
    assert experiment is not None
    found: dict[str, list[Run]] = {}
    for run in client.search_runs([experiment.experiment_id]):
        found.setdefault(run.info.run_name, []).append(run)
    return found


def test_each_variant_has_one_finished_run_with_all_that_is_documented(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    found = runs(client)
    assert {name: [run.info.status for run in each] for name, each in found.items()} == {
        name: ["FINISHED"] for name in ("sigmoid", "relu", "sigmoid-batchnorm", "Report")
    }
    (relu,) = found["relu"]
    assert relu.data.params["network.activation"] == "relu"
    assert relu.data.params["train.learning_rate"] == "0.01"
    history = pd.read_parquet(workspace / "models/relu/history.parquet")
    losses = client.get_metric_history(relu.info.run_id, "train_loss")
    assert [(m.step, m.value) for m in losses] == list(
        zip(history["epoch"], history["train_loss"], strict=True)
    )
    norms = client.get_metric_history(relu.info.run_id, "gradient/00-hidden.0.linear")
    assert [m.step for m in norms] == [1, 10, 20, 30, 40]
    paths = {a.path for a in client.list_artifacts(relu.info.run_id, "statistics")}
    tables = ("layers", "histograms", "units", "initialisation", "depths", "theory")
    assert paths == {f"statistics/{table}.parquet" for table in tables}
    weights = {a.path for a in client.list_artifacts(relu.info.run_id, "model/seed-0")}
    assert "model/seed-0/epoch-002.safetensors" in weights
    (report,) = found["Report"]
    figures = client.list_artifacts(report.info.run_id, "reports/figures")
    assert len(figures) == len(list((workspace / "reports/figures").iterdir()))


def test_a_second_time_writes_nothing(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    track.main([])
    before = {run.info.run_id: run.data.metrics for each in runs(client).values() for run in each}
    track.main([])
    after = {run.info.run_id: run.data.metrics for each in runs(client).values() for run in each}
    assert after == before
    assert "0 runs written, 4 were there already" in capsys.readouterr().out
    run_id = runs(client)["relu"][0].info.run_id
    assert len(client.get_metric_history(run_id, "train_loss")) == 3


def test_only_what_changed_gets_a_new_run(client: MlflowClient, workspace: Path) -> None:
    track.main([])
    statistics = workspace / "data/statistics"
    shutil.copy(statistics / "sigmoid/layers.parquet", statistics / "relu/layers.parquet")
    track.main([])
    assert {name: len(each) for name, each in runs(client).items()} == {
        "sigmoid": 1,
        "relu": 2,
        "sigmoid-batchnorm": 1,
        "Report": 1,
    }


def test_a_run_that_was_cut_off_is_closed_and_written_anew(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", cut_off)
        with pytest.raises(KeyboardInterrupt):
            track.main([])
    track.main([])
    assert sorted(run.info.status for run in runs(client)["sigmoid"]) == ["FAILED", "FINISHED"]
