"""MLflow has exactly one finished run per variant, training run and report, whatever happened."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from stages import track
from tests.support import mlflow_server
from tests.support.study import copy_study, tiny_params, write_lock, write_params
from vanishing import paths
from vanishing.errors import StudyError
from vanishing.files import read_json, sha256
from vanishing.tracking import journal as journals
from vanishing.tracking.identity import ROOT_EXPERIMENT
from vanishing.tracking.tags import (
    COLOR,
    IDENTITY,
    LEARNING,
    NOTE,
    PARENT,
    SOURCE,
    SUPERSEDED,
    VERDICT,
    VIEW,
)

VARIANTS = ("sigmoid", "relu", "sigmoid-batchnorm")
NAMES = (*VARIANTS, *(f"{name} seed 0" for name in VARIANTS), "Report")


@pytest.fixture
def client(
    study_folder: Path, workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """Give the finished study as the working directory, with an empty store."""
    copy_study(study_folder, workspace)
    write_lock(workspace)
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"  # in full: MLflow keeps a store per URI and process
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(tracking_uri=uri)


def runs_by_name(client: MlflowClient) -> dict[str, list[Run]]:
    """Return the runs of each name."""
    by_name: dict[str, list[Run]] = {}
    for run in mlflow_server.runs(client.tracking_uri):
        by_name.setdefault(run.info.run_name, []).append(run)
    return by_name


def current_runs(client: MlflowClient) -> dict[str, Run]:
    """Return the one run of each name that is finished and not superseded."""
    current = {}
    for name, runs in runs_by_name(client).items():
        (current[name],) = [
            run
            for run in runs
            if run.info.status == "FINISHED"
            and IDENTITY in run.data.tags
            and SUPERSEDED not in run.data.tags
        ]
    return current


def read_metric(client: MlflowClient, run: Run, name: str) -> dict[int, float]:
    """Return {step: value} of a metric; a step must not be there twice."""
    history = client.get_metric_history(run.info.run_id, name)
    values = {metric.step: metric.value for metric in history}
    assert len(values) == len(history), name
    return values


def read_all(client: MlflowClient) -> list[Any]:
    """Return everything that MLflow has of every run."""
    return [
        (run.to_dictionary(), {name: read_metric(client, run, name) for name in run.data.metrics})
        for runs in runs_by_name(client).values()
        for run in runs
    ]


def list_artifacts(client: MlflowClient, run: Run, folder: str) -> set[str]:
    """Return the names of the artifacts in a folder."""
    return {Path(file.path).name for file in client.list_artifacts(run.info.run_id, folder)}


def learning_tags(variant: Run, training: Run) -> list[str]:
    """Return what the tags of a variant of one seed, and of its training run, say of learning."""
    return [variant.data.tags[VERDICT], *(run.data.tags[LEARNING] for run in (variant, training))]


def learning_tags_of(folder: Path, variant: str, gradient: str) -> list[str]:
    """Return what they should say, by health.json."""
    health = read_json(folder / paths.HEALTH)
    (row,) = [r for r in health if (r["variant"], r["rule"]) == (variant, "learning")]
    return [f"{gradient}, {row['verdict']}", row["reason"], row["reason"]]


@pytest.mark.slow
def test_each_run_holds_what_is_documented_and_is_left_as_it_is_the_second_time(
    client: MlflowClient, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history_of_sigmoid = sha256(paths.table("history", "sigmoid", 0))
    journal = paths.journal("sigmoid", 0)
    journal.write_text(journal.read_text().replace(history_of_sigmoid, "of other results"))
    track.main([])
    statuses = {
        name: [run.info.status for run in runs] for name, runs in runs_by_name(client).items()
    }
    assert statuses == {name: ["FINISHED"] for name in NAMES}
    current = current_runs(client)

    training = current["relu seed 0"]
    assert training.data.tags[PARENT] == current["relu"].info.run_id
    assert (training.data.tags["study.variant"], training.data.tags["study.seed"]) == ("relu", "0")
    assert training.data.tags["dvc.stage"] == "train@relu-0, extract@relu-0"
    assert training.data.tags["dvc.models/relu/seed-0"].endswith(".dir")
    assert training.data.params["network.activation"] == "relu"
    history = pd.read_parquet(workspace / paths.table("history", "relu", 0))
    expected = dict(zip(history["epoch"], history["train_loss"], strict=True))
    assert read_metric(client, training, "train_loss") == expected
    for name in (
        "weight_gradient_00_hidden.0.linear",
        "weight_gradient_03_output",
        "train_loss_batch",
    ):
        assert list(read_metric(client, training, name)) == [1, 10, 20, 30, 40]
    assert list_artifacts(client, training, "models") >= {"epoch-002.safetensors"}
    assert list_artifacts(client, training, "statistics") >= {"layers.parquet"}
    assert training.data.metrics["system/train_duration_s"] > 0
    assert training.data.metrics["system/peak_memory_bytes"] > 1e8
    assert training.data.tags["study.device"]
    assert "system/train_duration_s" not in current["sigmoid seed 0"].data.metrics

    variant = current["relu"]
    assert read_metric(client, variant, "train_loss") == expected
    assert "attenuation_init" in variant.data.metrics
    assert list_artifacts(client, variant, "initialisation") >= {"theory.parquet"}
    assert list_artifacts(client, variant, "figures") == {"relu.png"}
    figures = {path.name for path in (workspace / paths.FIGURES).iterdir()}
    assert list_artifacts(client, current["Report"], "reports/figures") == figures

    times = journals.of_results("relu", 0)
    assert times is not None
    expected_span = (int(times.started * 1000), int(times.ended * 1000))
    for run in (training, variant):
        assert (run.info.start_time, run.info.end_time) == expected_span
    for name in ("sigmoid seed 0", "sigmoid", "Report"):  # a journal is missing
        assert current[name].info.end_time is None

    for run, script in ((training, "train"), (variant, "initialise")):
        assert run.data.tags[SOURCE] == f"stages/{script}.py"
        assert run.data.tags[NOTE].startswith("`sigmoid` with activation relu instead of sigmoid.")
        assert run.data.tags[COLOR] == "#E69F00"  # as in the report's figures
    assert learning_tags(variant, training) == learning_tags_of(workspace, "relu", "steady")
    experiment = client.get_experiment_by_name(ROOT_EXPERIMENT)
    assert experiment is not None
    assert current["Report"].info.run_id in experiment.tags[NOTE]
    assert len([tag for tag in experiment.tags if tag.startswith(VIEW)]) == 2

    before = read_all(client)
    track.main([])
    assert "nothing new" in capsys.readouterr().out
    track.main(["--insist"])
    assert "0 runs written, 7 were there already" in capsys.readouterr().out
    assert read_all(client) == before


@pytest.mark.slow
def test_another_store_is_filled_too(
    client: MlflowClient,
    workspace: Path,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    track.main([])
    shutil.copy(empty_store, workspace / "other.db")
    uri = f"sqlite:///{workspace}/other.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    track.main([])
    assert "MLflow: 7 runs written" in capsys.readouterr().out
    first, second = (
        {name: run.data.metrics for name, run in current_runs(store).items()}
        for store in (client, MlflowClient(tracking_uri=uri))
    )
    assert first == second


@pytest.mark.slow
def test_runs_of_changed_or_removed_results_stay_marked_until_the_results_are_back(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    before = current_runs(client)
    table = workspace / paths.table("layers", "relu", 0)
    content = table.read_bytes()
    shutil.copy(workspace / paths.table("layers", "sigmoid", 0), table)
    write_lock(workspace)
    track.main([])
    # A variant's run summarises its training runs, so it is new too.
    counts = {name: len(runs) for name, runs in runs_by_name(client).items()}
    assert counts == {name: 2 if name in {"relu", "relu seed 0"} else 1 for name in NAMES}
    training = before["relu seed 0"].info.run_id
    assert client.get_run(training).data.tags[SUPERSEDED] == "changed"

    table.write_bytes(content)
    write_lock(workspace)
    params = tiny_params()
    del params["variants"]["sigmoid-batchnorm"]
    write_params(workspace, params)
    track.main([])
    for name in ("sigmoid-batchnorm", "sigmoid-batchnorm seed 0"):
        (run,) = runs_by_name(client)[name]
        assert run.info.status == "FINISHED"
        assert run.data.tags[SUPERSEDED] == "removed"

    write_params(workspace, tiny_params())
    track.main([])
    ids = {name: run.info.run_id for name, run in before.items()}
    assert {name: run.info.run_id for name, run in current_runs(client).items()} == ids
    parent = current_runs(client)["relu seed 0"].data.tags[PARENT]
    assert parent == before["relu"].info.run_id


@pytest.mark.slow
@pytest.mark.parametrize("ended", [0, 1, 5])
def test_an_interrupted_track_is_completed_by_the_next(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, ended: int
) -> None:
    count = 0
    end = MlflowClient.set_terminated

    def interrupt(*args: Any, **kwargs: Any) -> None:
        nonlocal count
        count += 1
        if count > ended:
            raise KeyboardInterrupt
        end(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", interrupt)
        with pytest.raises(KeyboardInterrupt):
            track.main([])
    track.main([])
    runs = runs_by_name(client)
    assert {name: [run.info.status for run in runs[name]] for name in runs} == {
        name: ["FINISHED"] for name in NAMES
    }
    assert read_all(client)
    current = current_runs(client)
    for variant in VARIANTS:
        assert current[f"{variant} seed 0"].data.tags[PARENT] == current[variant].info.run_id


@pytest.mark.usefixtures("client")
def test_a_store_that_fails_is_one_warning_or_an_error_on_request(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "broken.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/broken.db")
    track.main([])
    lines = [line for line in capsys.readouterr().err.splitlines() if line[:9] == "warning: "]
    assert len(lines) == 1
    assert "broken.db" in lines[0]
    assert lines[0].endswith("`make track` completes the mirror")
    with pytest.raises(StudyError, match=r"broken\.db.*run `make track` again"):
        track.main(["--insist"])


def test_results_that_dvc_lock_does_not_record_are_not_mirrored(
    client: MlflowClient, workspace: Path
) -> None:
    with (workspace / paths.run_record("relu", 0)).open("a") as file:
        file.write("\n")
    with pytest.raises(StudyError, match="data/training/relu/seed-0: differs from what dvc"):
        track.main([])
    assert client.get_experiment_by_name(ROOT_EXPERIMENT) is None
