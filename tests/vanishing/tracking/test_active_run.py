"""A watched training in the MLflow run that the user's program has begun."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

import vanishing
from tests.support.loops import small_model, take_steps
from tests.support.mlflow_server import serving
from tests.support.processes import until
from tests.support.servers import free_port
from tests.support.study import ROOT
from vanishing.results.watched import TABLES
from vanishing.tracking import active_run
from vanishing.tracking.active_run import FIGURE, ActiveRun


@pytest.fixture
def client(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """Give an empty store that MLflow uses, with its artifacts in the test's folder."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    place = (tmp_path / "artifacts").as_uri()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", client.create_experiment("mine", place))
    return client


def histories(client: MlflowClient, run_id: str) -> dict[str, dict[int, float]]:
    """Return {metric: {step: value}} of a run, in the alphabetical order of MLflow's charts."""
    names = sorted(client.get_run(run_id).data.metrics)
    return {
        name: {metric.step: metric.value for metric in client.get_metric_history(run_id, name)}
        for name in names
    }


def artifacts(client: MlflowClient, run_id: str, folder: str = "run") -> set[str]:
    """Return the names of the files that a watch left in a run."""
    listed = client.list_artifacts(run_id, f"{active_run.ARTIFACTS}/{folder}")
    return {Path(artifact.path).name for artifact in listed}


def test_norms_by_layer_and_files_are_in_the_active_run(
    client: MlflowClient, tmp_path: Path
) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with mlflow.start_run() as run:
        with vanishing.watch(model, optimizer, folder=tmp_path / "run", every=4) as watch:
            take_steps(model, optimizer, 13, watch)
        assert mlflow.active_run() is not None  # it is the user's, to go on with
    metrics = histories(client, run.info.run_id)
    losses = vanishing.read_run(tmp_path / "run", "losses").set_index("step")["loss"]
    assert metrics.pop("train_loss_batch") == losses[[*range(1, 11), 12]].to_dict()
    trace = vanishing.read_run(tmp_path / "run", "trace")
    norms = trace.query("tensor == 'weight_gradient' and statistic == 'l2_norm'")
    assert metrics == {
        f"weight_gradient_{index:02d}_{layer}": rows.set_index("step")["value"].to_dict()
        for (index, layer), rows in norms.groupby(["layer_index", "layer"])
    }
    assert artifacts(client, run.info.run_id) == {
        *("run.json", FIGURE),
        *(f"{table}.parquet" for table in TABLES),
    }
    verdict = client.get_run(run.info.run_id).data.tags["vanishing.run.verdict"]
    assert verdict == str(vanishing.judge_learning(tmp_path / "run"))


def test_a_run_is_left_alone_on_request_and_by_the_gate(
    client: MlflowClient, tmp_path: Path
) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    targets = torch.arange(8) % 2
    inputs = torch.eye(2)[targets] * 4
    with mlflow.start_run() as run:
        with vanishing.watch(model, optimizer, folder=tmp_path / "run", mlflow=False) as watch:
            take_steps(model, optimizer, 3, watch)
        vanishing.assert_trains(lambda: nn.Linear(2, 2), (inputs, targets), cross_entropy)
    assert histories(client, run.info.run_id) == {}
    assert client.list_artifacts(run.info.run_id) == []


def test_metrics_appear_while_training_goes_on(client: MlflowClient, tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with mlflow.start_run() as run:
        watch = vanishing.watch(model, optimizer, folder=tmp_path / "run", every=2)
        take_steps(model, optimizer, 5, watch)
        watch.flush()
        until(lambda: "weight_gradient_00_0" in client.get_run(run.info.run_id).data.metrics)
        assert list(histories(client, run.info.run_id)["train_loss_batch"]) == [1, 2, 3, 4]
        take_steps(model, optimizer, 1, watch)
        watch.close()
    assert list(histories(client, run.info.run_id)["train_loss_batch"]) == [1, 2, 3, 4, 5, 6]


def test_files_are_there_after_a_training_that_failed(client: MlflowClient, tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)

    def fail() -> None:
        with mlflow.start_run(), vanishing.watch(model, optimizer, folder=tmp_path / "run"):
            take_steps(model, optimizer, 3)
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    (run,) = client.search_runs([os.environ["MLFLOW_EXPERIMENT_ID"]])
    assert "trace.parquet" in artifacts(client, run.info.run_id)
    assert run.info.status == "FAILED"


def test_a_watch_that_traced_nothing_has_no_figure(client: MlflowClient, tmp_path: Path) -> None:
    model = small_model()
    with (
        mlflow.start_run() as run,
        vanishing.watch(model, SGD(model.parameters(), 0.1), folder=tmp_path / "run"),
    ):
        pass
    names = artifacts(client, run.info.run_id)
    assert "trace.parquet" in names
    assert FIGURE not in names


@pytest.mark.usefixtures("client")
def test_without_an_active_run_nothing_happens(tmp_path: Path) -> None:
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    with vanishing.watch(model, optimizer, folder=tmp_path / "run") as watch:
        take_steps(model, optimizer, 2, watch)
    assert mlflow.search_runs(search_all_experiments=True).empty
    assert mlflow.active_run() is None


@pytest.mark.slow
def test_mlflow_is_not_imported_where_the_program_does_not(tmp_path: Path) -> None:
    code = (
        "import sys, torch, vanishing\n"
        "model = torch.nn.Linear(2, 1)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "with vanishing.watch(model, optimizer, folder=sys.argv[1]):\n"
        "    model(torch.ones(1, 2)).sum().backward()\n"
        "    optimizer.step()\n"
        "print(*({'mlflow', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_many_layers_stay_in_order_and_their_names_are_allowed(
    client: MlflowClient, tmp_path: Path
) -> None:
    model = nn.Sequential(OrderedDict((f"{i}+1", nn.Linear(4, 4)) for i in range(101)))
    optimizer = SGD(model.parameters(), 0.1)
    with mlflow.start_run() as run, vanishing.watch(model, optimizer, folder=tmp_path / "run"):
        take_steps(model, optimizer, 1)
    names = list(histories(client, run.info.run_id))
    assert names == [f"weight_gradient_{i:03d}_{i}_1" for i in range(101)]


def trace_of(steps: Sequence[int], layers: int) -> dict[str, Any]:
    """Return the columns of a trace with one norm per layer and step."""
    rows = [(step, layer) for step in steps for layer in range(layers)]
    return {
        "step": [step for step, _ in rows],
        "layer_index": [layer for _, layer in rows],
        "layer": ["layer" for _ in rows],
        "tensor": ["weight_gradient"] * len(rows),
        "statistic": ["l2_norm"] * len(rows),
        "value": [1.0] * len(rows),
    }


@pytest.mark.parametrize(
    ("layers", "shown"), [(100, [11, 14, 17, 20, 23, 26, 29, 32, 35, 38]), (1001, [38])]
)
def test_of_more_steps_than_a_call_takes_some_are_shown_and_the_last_among_them(
    client: MlflowClient, tmp_path: Path, layers: int, shown: list[int]
) -> None:
    (tmp_path / "run.json").write_text("{}")
    with mlflow.start_run() as run:
        show = ActiveRun(mlflow.get_tracking_uri(), run.info.run_id, layers)
        show.show({"trace": [trace_of(range(9, 39), layers)], "losses": []})
        show.end([tmp_path / "run.json"], lambda _: None, lambda: "learns")
    names = list(client.get_run(run.info.run_id).data.metrics)
    assert len(names) == layers
    history = client.get_metric_history(run.info.run_id, names[0])
    assert [metric.step for metric in history] == shown


def test_a_figure_that_fails_is_one_warning_and_the_tables_go(
    client: MlflowClient, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("{}")

    def draw(_: Path) -> None:
        raise ValueError("no font")

    with mlflow.start_run() as run:
        show = ActiveRun(mlflow.get_tracking_uri(), run.info.run_id, 1)
        with pytest.warns(UserWarning, match=r"no figure could be made \(no font\)"):
            show.end([tmp_path / "run.json"], draw, lambda: "learns")
    assert artifacts(client, run.info.run_id, tmp_path.name) == {"run.json"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stroke", "reason"),
    [(signal.SIGKILL, "Max retries exceeded"), (signal.SIGSTOP, "did not take everything")],
    ids=["dead", "silent"],
)
def test_a_server_that_dies_or_falls_silent_costs_the_loop_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stroke: signal.Signals, reason: str
) -> None:
    monkeypatch.setattr(active_run, "PATIENCE_S", 3.0)
    if stroke is signal.SIGKILL:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    port = free_port()
    model = small_model()
    optimizer = SGD(model.parameters(), 0.1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with serving(port, tmp_path) as server:
        mlflow.start_run()
        watch = vanishing.watch(model, optimizer, folder=tmp_path / "run", every=1)
        take_steps(model, optimizer, 5, watch)
        os.killpg(server.pid, stroke)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(30):  # more than may wait
                take_steps(model, optimizer, 1, watch)
                begin_s = time.monotonic()
                watch.flush()
                assert time.monotonic() - begin_s < 1  # tables are written; nobody is waited for
            begin_s = time.monotonic()
            watch.close()
            assert time.monotonic() - begin_s < 30  # of which a figure takes some on a busy machine
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with contextlib.suppress(MlflowException):
        mlflow.end_run()
    (message,) = (str(entry.message) for entry in caught if "vanishing" in str(entry.message))
    assert re.search(rf"{reason}|more slowly", message)
    assert vanishing.read_run(tmp_path / "run", "trace")["step"].max() == 35
