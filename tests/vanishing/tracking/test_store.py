"""Each run is in MLflow's store exactly once, and complete, whatever happened before."""

import math
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.mlflow_server import runs
from vanishing.files import digest
from vanishing.tracking import viewer
from vanishing.tracking.identity import Experiment
from vanishing.tracking.scalars import Scalar
from vanishing.tracking.store import FAILED, FINISHED, RUNNING, Content, MLflowStore
from vanishing.tracking.tags import (
    DESCRIBED,
    FIGURES,
    IDENTITY,
    NOTE,
    PARENT,
    PROCESS,
    SUPERSEDED,
    TRAINING,
    WEIGHTS,
)
from vanishing.tracking.timing import Times

NAME = "study"
WRITES = (
    "create_run",
    "log_batch",
    "log_inputs",
    "log_artifact",
    "set_tag",
    "set_terminated",
    "update_run",
    "delete_run",
)
STARTED, ENDED = 1_700_000_000.123, 1_700_000_240.456  # seconds since 1970
TIMES = Times("of these results", STARTED, ENDED)
SPAN = (1_700_000_000_123, 1_700_000_240_456)


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> MLflowStore:
    """Give an empty experiment."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return MLflowStore(Experiment(f"sqlite:///{tmp_path}/mlflow.db", NAME))


@pytest.fixture
def content(tmp_path: Path) -> Content:
    """Give the content of a small run."""
    table, figure = tmp_path / "a.parquet", tmp_path / "a.png"
    table.write_bytes(b"table")
    figure.write_bytes(b"figure")
    return Content(
        times=TIMES,
        params={"width": 16, "train.seeds": [0, 1]},
        scalars=[Scalar("loss", 0.5, 1), Scalar("loss", math.nan, 2), Scalar("loss", math.inf, 3)],
        tags={"study.variant": "relu", FIGURES: "first", PARENT: "parent"},
        dataset=("digits", "1234"),
        artifacts={table: "tables", figure: "figures"},
    )


def read(store: MLflowStore, run: Run) -> dict[str, Any]:
    """Return what a run holds, in the form of `Content`, and its status."""
    client = MlflowClient(tracking_uri=store.address)
    assert run.inputs is not None
    return {
        "params": run.data.params,
        "scalars": [
            (name, metric.value, metric.step)
            for name in run.data.metrics
            for metric in client.get_metric_history(run.info.run_id, name)
        ],
        "datasets": [entry.dataset.name for entry in run.inputs.dataset_inputs],
        "artifacts": [
            artifact.path
            for folder in ("figures", "models", "tables")
            for artifact in client.list_artifacts(run.info.run_id, folder)
        ],
        "tags": {key: tag for key, tag in run.data.tags.items() if key[:6] == "study."},
        "status": run.info.status,
        "span": (run.info.start_time, run.info.end_time),
    }


def the_run(store: MLflowStore) -> Run:
    """Return the only run of the experiment."""
    (run,) = runs(store.address, NAME)
    return run


def test_a_run_holds_its_content_and_is_left_as_it_is_the_second_time(
    store: MLflowStore, content: Content
) -> None:
    run_id = store.ensure("relu", "1", content).run_id
    assert run_id == the_run(store).info.run_id
    before = read(store, the_run(store))
    assert before["params"] == {"width": "16", "train.seeds": "[0, 1]"}
    (_, loss, step), (_, nan, _), (_, infinity, _) = before["scalars"]
    assert (loss, step) == (0.5, 1)
    assert math.isnan(nan)
    assert infinity > 1e308  # MLflow clips it
    assert before["datasets"] == ["digits"]
    assert before["artifacts"] == ["figures/a.png", "tables/a.parquet"]
    assert before["tags"] == {
        "study.variant": "relu",
        FIGURES: "first",
        IDENTITY: "1",
        "study.times": TIMES.trainings,
    }
    assert before["span"] == SPAN
    assert before["status"] == FINISHED
    assert the_run(store).data.tags[PARENT] == "parent"
    history = the_run(store).to_dictionary()
    assert store.ensure("relu", "1", content) == (run_id, False)
    assert the_run(store).to_dictionary() == history


@contextmanager
def interrupted(after_calls: int, answered: bool) -> Iterator[None]:
    """Interrupt the process at one of its writing calls of MLflow.

    Args:
        after_calls: Number of calls that succeed before.
        answered: Whether the interrupted call reaches the store.
    """
    count = 0

    def interrupt(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            answer = call(*args, **kwargs) if answered or count != after_calls + 1 else None
            if count == after_calls + 1:
                raise KeyboardInterrupt
            return answer

        return wrapper

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(MlflowClient, name, interrupt(getattr(MlflowClient, name)))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("times", [TIMES, None])
def test_a_run_that_is_interrupted_at_any_call_is_completed_and_not_doubled(
    store: MLflowStore, content: Content, times: Times | None, answered: bool
) -> None:
    content = content._replace(times=times)
    complete: dict[str, Any] = {}
    for calls in range(100):
        name = f"interrupted after {calls} calls"
        try:
            with interrupted(calls, answered):
                store.ensure(name, "1", content)
        except KeyboardInterrupt:
            store.ensure(name, "1", content)
            continue
        finally:
            (run,) = [run for run in runs(store.address, NAME) if run.info.run_name == name]
            holds = read(store, run)
            start, end = holds.pop("span")
            assert (start, end) == SPAN if times else end is None
            complete[name] = repr(holds)  # NaN does not equal itself
        break
    assert len(complete) > 10
    assert len(set(complete.values())) == 1


def test_the_run_that_showed_a_training_live_is_completed(
    store: MLflowStore, content: Content
) -> None:
    run_id = store.begin("relu", {TRAINING: TIMES.trainings}, STARTED)
    store.log(run_id, content.scalars[:2])
    store.end(run_id, FINISHED, ENDED + 1)
    other = store.begin("relu", {TRAINING: "of other results"}, STARTED)
    assert store.ensure("relu", "1", content) == (run_id, True)
    by_id = {run.info.run_id: run for run in runs(store.address, NAME)}
    assert by_id.keys() == {run_id, other}
    assert by_id[run_id].data.tags[IDENTITY] == "1"
    assert by_id[run_id].data.tags[PARENT] == "parent"
    completed = read(store, by_id[run_id])
    assert [step for _, _, step in completed["scalars"]] == [1, 2, 3]
    assert completed["span"] == SPAN
    assert by_id[other].info.status == RUNNING


@pytest.mark.parametrize(
    "logged", [Scalar("loss", 0.6, 1), Scalar("loss", 0.5, 4), Scalar("accuracy", 0.5, 1)]
)
def test_a_run_that_holds_anything_else_is_left_and_a_new_one_written(
    store: MLflowStore, content: Content, logged: Scalar
) -> None:
    run_id = store.begin("relu", {TRAINING: TIMES.trainings}, STARTED)
    store.log(run_id, [logged])
    store.end(run_id, FINISHED, ENDED)
    assert store.ensure("relu", "1", content).run_id != run_id
    client = MlflowClient(tracking_uri=store.address)
    (metric,) = client.get_metric_history(run_id, logged.name)
    assert (metric.value, metric.step) == (logged.value, logged.step)
    store.retire({"relu": "1"})
    assert client.get_run(run_id).data.tags[SUPERSEDED] == "changed"


def test_of_two_runs_that_were_written_at_once_one_stays(
    store: MLflowStore, content: Content
) -> None:
    first = store.ensure("relu", "1", content).run_id
    double = make_run(store, "relu", {IDENTITY: "1"}, *SPAN)
    kept = min(first, double)
    assert store.ensure("relu", "1", content._replace(tags={})) == (kept, True)
    assert the_run(store).info.run_id == kept


def make_run(store: MLflowStore, name: str, tags: dict[str, str], start: int, end: int) -> str:
    """Write a finished run, with times in milliseconds; return its id."""
    client = MlflowClient(tracking_uri=store.address)
    run = client.create_run(store.experiment_id, start, tags, run_name=name)
    client.set_terminated(run.info.run_id, FINISHED, end)
    return str(run.info.run_id)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("late_by", "kept"), [((0, 5_000_000), True), ((9, 0), False)])
def test_a_run_with_times_of_its_writing_is_corrected_or_replaced_and_not_doubled(
    store: MLflowStore, content: Content, late_by: tuple[int, int], kept: bool, known: bool
) -> None:
    content = content._replace(times=TIMES if known else None)
    start, end = (time + late for time, late in zip(SPAN, late_by, strict=True))
    run_id = make_run(store, "relu", {IDENTITY: "1"}, start, end)
    ensured, written = store.ensure("relu", "1", content)
    assert written
    assert (ensured == run_id) == (kept and known)  # MLflow can take no end away
    assert the_run(store).info.run_id == ensured
    assert the_run(store).info.end_time == (SPAN[1] if known else None)
    assert store.ensure("relu", "1", content) == (ensured, False)


def test_times_stay_when_the_journal_is_gone_or_another_training_gave_the_same_results(
    store: MLflowStore, content: Content
) -> None:
    run_id = store.ensure("relu", "1", content).run_id
    for times in (None, Times("of the same results", STARTED + 9, ENDED + 9)):
        assert store.ensure("relu", "1", content._replace(times=times)) == (run_id, False)
        assert read(store, the_run(store))["span"] == SPAN


def test_a_description_of_a_persons_own_stays_until_there_is_another(
    store: MLflowStore, content: Content
) -> None:
    client = MlflowClient(tracking_uri=store.address)

    def described(text: str) -> dict[str, str]:
        return {NOTE: text, DESCRIBED: digest(text)}

    def notes() -> tuple[str, str]:
        experiment = client.get_experiment(store.experiment_id)
        return the_run(store).data.tags[NOTE], experiment.tags[NOTE]

    def write(text: str) -> None:
        store.ensure("relu", "1", content._replace(tags=described(text)))
        store.describe(described(text))

    write("first")
    assert notes() == ("first", "first")
    client.set_tag(the_run(store).info.run_id, NOTE, "mine")
    client.set_experiment_tag(store.experiment_id, NOTE, "mine")
    write("first")
    assert notes() == ("mine", "mine")
    write("second")
    assert notes() == ("second", "second")


def test_new_figures_weights_and_parents_go_into_the_same_run(
    store: MLflowStore, content: Content, tmp_path: Path
) -> None:
    run_id = store.ensure("relu", "1", content).run_id
    (tmp_path / "a.png").write_bytes(b"drawn anew")
    weights = tmp_path / "a.safetensors"
    weights.write_bytes(b"weights")
    content = content._replace(
        tags={FIGURES: "second", WEIGHTS: "complete", PARENT: "other"},
        artifacts={**content.artifacts, weights: "models"},
    )
    assert store.ensure("relu", "1", content) == (run_id, True)
    assert store.ensure("relu", "1", content) == (run_id, False)
    assert "models/a.safetensors" in read(store, the_run(store))["artifacts"]
    assert the_run(store).data.tags[PARENT] == "other"
    client = MlflowClient(tracking_uri=store.address)
    figure = Path(client.download_artifacts(run_id, "figures/a.png", str(tmp_path)))
    assert figure.read_bytes() == b"drawn anew"
    # A clone without weights takes none away.
    assert store.ensure("relu", "1", content._replace(tags={})) == (run_id, False)


def test_runs_of_results_that_are_no_longer_current_are_marked_until_they_are_again(
    store: MLflowStore, content: Content
) -> None:
    first, second = (store.ensure("relu", identity, content).run_id for identity in ("1", "2"))
    removed = store.ensure("tanh", "1", content).run_id
    of_user = store.begin("a run of the user's own", {}, STARTED)
    store.end(of_user, FINISHED, ENDED)

    def marks() -> dict[str, str | None]:
        return {run.info.run_id: run.data.tags.get(SUPERSEDED) for run in runs(store.address, NAME)}

    store.retire({"relu": "2"})
    expected = {first: "changed", second: None, removed: "removed", of_user: None}
    assert marks() == expected
    store.retire({"relu": "1", "tanh": "1"})
    assert marks() == {first: None, second: "changed", removed: None, of_user: None}


def test_live_runs_that_crashed_are_closed_and_running_ones_left(
    store: MLflowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed, running = (store.begin("relu", {TRAINING: training}, STARTED) for training in "ab")
    client = MlflowClient(tracking_uri=store.address)
    client.set_tag(running, PROCESS, "running")
    monkeypatch.setattr(viewer, "is_running", lambda process: process == "running")
    store.retire({"relu": "1"})
    assert client.get_run(crashed).info.status == FAILED
    assert client.get_run(crashed).info.end_time is None  # nobody knows when
    assert client.get_run(running).info.status == RUNNING


def write_metrics(uri: str, name: str) -> None:
    """Write a run, as a viewer does."""
    store = MLflowStore(Experiment(uri, NAME))
    run_id = store.begin(name, {}, STARTED)
    for step in range(20):
        store.log(run_id, [Scalar(f"metric {index}", float(step), step) for index in range(50)])
    store.end(run_id, FINISHED, ENDED)


@pytest.mark.slow
def test_eight_processes_share_one_new_database(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    names = [f"writer {index}" for index in range(8)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # MLflow is imported once, and not eight times
    writers = [context.Process(target=write_metrics, args=(uri, name)) for name in names]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    written = runs(uri, NAME)
    assert sorted(run.info.run_name for run in written) == names
    client = MlflowClient(tracking_uri=uri)
    for run in written:
        assert run.info.status == FINISHED
        metrics = client.get_metric_history(run.info.run_id, "metric 49")
        assert sorted(metric.step for metric in metrics) == list(range(20))


def test_runs_of_a_persons_own_are_left_alone_whatever_their_names(
    store: MLflowStore, content: Content
) -> None:
    store.ensure("relu", "1", content)
    client = MlflowClient(tracking_uri=store.address)
    experiment = the_run(store).info.experiment_id
    running = client.create_run(experiment, run_name="relu").info.run_id
    finished = client.create_run(experiment, run_name="relu").info.run_id
    client.set_terminated(finished, FINISHED)
    before = {run_id: client.get_run(run_id).to_dictionary() for run_id in (running, finished)}
    store.ensure("relu", "2", content)
    store.retire({"relu": "2"})
    assert {run_id: client.get_run(run_id).to_dictionary() for run_id in before} == before
