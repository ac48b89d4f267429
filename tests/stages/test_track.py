"""MLflow: exactly one finished run per variant, training run and report, whatever happened."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from stages import track
from tests.support.mlflow_server import runs as runs_of
from tests.support.study import copy_study, tiny_params, write_lock, write_params
from tests.support.study import run as run_stage
from vanishing import paths
from vanishing.errors import StudyError
from vanishing.files import sha256
from vanishing.tracking import identity, mirror, store, viewer
from vanishing.tracking.store import PARENT, MLflowStore

VARIANTS = ("sigmoid", "relu", "sigmoid-batchnorm")
NAMES = (*VARIANTS, *(f"{name} seed 0" for name in VARIANTS), "Report")


@pytest.fixture
def client(
    study_folder: Path, workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """Give the finished study as working directory, with an empty store."""
    copy_study(study_folder, workspace)
    shutil.rmtree(workspace / paths.JOURNALS)
    write_lock(workspace)
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"  # in full: MLflow keeps a store per URI and process
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(tracking_uri=uri)


def runs(client: MlflowClient) -> dict[str, list[Run]]:
    """Return the runs by name."""
    by_name: dict[str, list[Run]] = {}
    for run in runs_of(client.tracking_uri):
        by_name.setdefault(run.info.run_name, []).append(run)
    return by_name


def current(client: MlflowClient) -> dict[str, Run]:
    """Return the one run of each name that is finished and not superseded."""
    by_name = {}
    for name, candidates in runs(client).items():
        (by_name[name],) = [
            run
            for run in candidates
            if run.info.status == "FINISHED"
            and store.IDENTITY in run.data.tags
            and store.SUPERSEDED not in run.data.tags
        ]
    return by_name


def everything(client: MlflowClient) -> dict[str, object]:
    """Return all that there is of every run, each metric's whole history included."""
    return {
        run.info.run_id: (
            run.to_dictionary(),
            {
                key: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
                for key in run.data.metrics
            },
        )
        for runs_of_name in runs(client).values()
        for run in runs_of_name
    }


def test_each_training_run_is_nested_under_its_variant_and_holds_what_is_documented(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    statuses = {name: [run.info.status for run in group] for name, group in runs(client).items()}
    assert statuses == {name: ["FINISHED"] for name in NAMES}
    by_name = current(client)
    relu, training = by_name["relu"], by_name["relu seed 0"]
    assert training.data.tags[PARENT] == relu.info.run_id
    assert (training.data.tags["study.variant"], training.data.tags["study.seed"]) == ("relu", "0")
    assert training.data.params["network.activation"] == "relu"
    assert training.data.params["train.learning_rate"] == "0.01"
    history = pd.read_parquet(workspace / paths.table("history", "relu", 0))
    losses = [
        (m.step, m.value) for m in client.get_metric_history(training.info.run_id, "train_loss")
    ]
    assert losses == list(zip(history["epoch"], history["train_loss"], strict=True))
    for key in ("gradient/00-hidden.0.linear", "gradient/03-output", "loss"):
        points = client.get_metric_history(training.info.run_id, key)
        assert [m.step for m in points] == [1, 10, 20, 30, 40], key
    names = {a.path for a in client.list_artifacts(training.info.run_id, "statistics")}
    assert names == {f"statistics/{name}.parquet" for name in ("layers", "histograms", "units")}
    weights = {a.path for a in client.list_artifacts(training.info.run_id, "models")}
    assert "models/epoch-002.safetensors" in weights
    names = {a.path for a in client.list_artifacts(relu.info.run_id, "initialisation")}
    assert "initialisation/theory.parquet" in names
    figures = [a.path for a in client.list_artifacts(relu.info.run_id, "figures")]
    assert figures == ["figures/relu.png"]
    assert "final/test_accuracy" in relu.data.metrics
    assert training.inputs is not None
    (dataset,) = training.inputs.dataset_inputs
    assert dataset.dataset.name == "MNIST"
    assert len(dataset.dataset.digest) == 32
    assert training.data.tags["dvc.stage"] == "train@relu-0, extract@relu-0"
    assert len(training.data.tags["dvc.models/relu/seed-0"]) == 32
    artifacts = client.list_artifacts(by_name["Report"].info.run_id, "reports/figures")
    drawn = {path.name for path in (workspace / "reports/figures").iterdir()}
    assert {Path(a.path).name for a in artifacts} == drawn


def test_facts_that_the_training_alone_knew_come_from_its_journal(
    client: MlflowClient, study_folder: Path, workspace: Path
) -> None:
    shutil.copytree(study_folder / paths.JOURNALS, workspace / paths.JOURNALS)
    journal = workspace / paths.journal("sigmoid", 0)
    of_results = sha256(workspace / paths.table("history", "sigmoid", 0))
    journal.write_text(journal.read_text().replace(of_results, "of other results"))
    track.main([])
    relu, sigmoid = current(client)["relu seed 0"], current(client)["sigmoid seed 0"]
    assert relu.data.metrics["system/train_duration_s"] > 0
    assert relu.data.metrics["system/peak_memory_bytes"] > 1e8
    assert relu.data.tags["study.device"]
    assert "system/train_duration_s" not in sigmoid.data.metrics


def test_a_second_time_writes_nothing(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    track.main([])
    before = everything(client)
    track.main([])
    assert "nothing new" in capsys.readouterr().out
    track.main(["--insist"])
    assert everything(client) == before
    assert "0 runs written, 7 were there already" in capsys.readouterr().out


def test_another_or_a_deleted_store_is_filled_again(
    client: MlflowClient, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    track.main([])
    first = {name: run.data.metrics for name, run in current(client).items()}
    empty = workspace / "other.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{empty}")
        track.main([])
        again = current(MlflowClient(tracking_uri=f"sqlite:///{empty}"))
        assert {name: run.data.metrics for name, run in again.items()} == first
        track.main([])
        assert "nothing new" in capsys.readouterr().out
        empty.unlink()
        noted = json.loads(paths.MIRROR.read_text())
        assert not identity.is_mirrored(identity.experiment(Path()), noted["runs"])


def test_changed_results_get_a_new_run_and_the_old_one_stays_marked(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    old = current(client)["relu seed 0"].info.run_id
    table = workspace / paths.table("layers", "relu", 0)
    content = table.read_bytes()
    shutil.copy(workspace / paths.table("layers", "sigmoid", 0), table)
    write_lock(workspace)
    track.main([])
    # The variant's run summarises its training runs, so it is new too.
    counts = {name: len(group) for name, group in runs(client).items()}
    assert counts == {name: 2 if name.startswith("relu") else 1 for name in NAMES}
    assert client.get_run(old).data.tags[store.SUPERSEDED] == "changed"
    assert current(client)["relu seed 0"].info.run_id != old
    table.write_bytes(content)
    write_lock(workspace)
    track.main([])
    assert current(client)["relu seed 0"].info.run_id == old  # there is no third one
    assert len(runs(client)["relu seed 0"]) == 2
    parent = current(client)["relu"].info.run_id
    assert current(client)["relu seed 0"].data.tags[PARENT] == parent


def test_a_removed_variant_keeps_its_run_marked(client: MlflowClient, workspace: Path) -> None:
    track.main([])
    content = tiny_params()
    del content["variants"]["relu"]
    write_params(workspace, content)
    track.main([])
    for name in ("relu", "relu seed 0"):
        (relu,) = runs(client)[name]
        assert relu.info.status == "FINISHED"
        assert relu.data.tags[store.SUPERSEDED] == "removed"


def test_a_redrawn_figure_replaces_the_old_one_in_the_same_run(
    client: MlflowClient, workspace: Path, tmp_path: Path
) -> None:
    track.main([])
    run_id = current(client)["relu"].info.run_id
    (workspace / "reports/figures/variants/relu.png").write_bytes(b"drawn anew")
    write_lock(workspace)
    track.main([])
    assert current(client)["relu"].info.run_id == run_id
    figure = Path(client.download_artifacts(run_id, "figures/relu.png", str(tmp_path)))
    assert figure.read_bytes() == b"drawn anew"
    assert len(runs(client)["relu"]) == 1


@pytest.mark.parametrize("call", ["log_batch", "log_artifact", "set_tag", "set_terminated"])
def test_an_interrupted_run_is_completed_not_doubled(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    calls = 0
    real = getattr(MlflowClient, call)

    def interrupt(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, interrupt)
        with pytest.raises(KeyboardInterrupt):
            track.main([])
    track.main([])
    statuses = {name: [r.info.status for r in group] for name, group in runs(client).items()}
    assert statuses == {name: ["FINISHED"] for name in NAMES}
    for run in current(client).values():
        for key in run.data.metrics:
            steps = [m.step for m in client.get_metric_history(run.info.run_id, key)]
            assert len(steps) == len(set(steps)), key


def test_of_two_that_wrote_the_same_at_once_one_stays(client: MlflowClient) -> None:
    track.main([])
    (relu,) = runs(client)["relu"]
    tags = {store.IDENTITY: relu.data.tags[store.IDENTITY]}
    double = client.create_run(relu.info.experiment_id, run_name="relu", tags=tags)
    client.set_terminated(double.info.run_id)
    track.main(["--insist"])
    assert len(runs(client)["relu"]) == 1


def test_crashed_live_runs_are_closed_and_running_ones_left(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow_store = MLflowStore(identity.experiment(Path()))
    crashed = mlflow_store.begin("relu seed 0", {store.TRAINING: "of no results"})
    track.main([])
    assert client.get_run(crashed).info.status == "FAILED"
    running = mlflow_store.begin("relu seed 0", {store.TRAINING: "another"})
    monkeypatch.setattr(viewer, "is_running", lambda _: True)
    track.main(["--insist"])
    assert client.get_run(running).info.status == "RUNNING"
    assert current(client)["relu seed 0"].info.run_id not in {crashed, running}


def test_the_commit_is_named_and_whether_anything_else_was_changed(
    client: MlflowClient, workspace: Path
) -> None:
    def git(*arguments: str) -> str:
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", *author, *arguments],
            cwd=workspace,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    assert mirror.commit_tags(".") == {}
    git("init", "-q")
    git("add", "params.yaml", "dvc.lock", "reports")
    (workspace / ".gitignore").write_text(
        "data\nmodels\nmlruns\nmlflow.db\n.study\nstages\nvanishing\ndvc.yaml\n"
    )
    git("add", ".gitignore")
    git("commit", "-q", "-m", "all")
    clean = {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "study.git.dirty": "false"}
    assert mirror.commit_tags(".") == clean
    (workspace / "dvc.lock").write_text((workspace / "dvc.lock").read_text() + "\n")
    (workspace / "reports/new.png").write_text("written by a stage")
    assert mirror.commit_tags(".") == clean
    track.main([])
    assert current(client)["relu"].data.tags.items() >= clean.items()
    (workspace / "params.yaml").write_text((workspace / "params.yaml").read_text() + "\n")
    assert mirror.commit_tags(".")["study.git.dirty"] == "true"


def test_seeds_are_nested_under_the_variant_whose_curves_are_their_mean(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    first = current(client)["relu seed 0"].info.run_id
    content = tiny_params()
    content["train"]["seeds"] = [0, 1]
    write_params(workspace, content)
    for name in content["variants"]:
        run_stage("train", name, "1")
        run_stage("extract", name, "1")
    write_lock(workspace)
    track.main([])
    by_name = current(client)
    parent, runs_of_relu = by_name["relu"], [by_name[f"relu seed {seed}"] for seed in (0, 1)]
    assert runs_of_relu[0].info.run_id == first  # the new seed is no reason for a new run
    assert {run.data.tags[PARENT] for run in runs_of_relu} == {parent.info.run_id}
    losses = [run.data.metrics["test_loss"] for run in runs_of_relu]
    assert losses[0] != losses[1]
    assert parent.data.metrics["test_loss"] == pytest.approx(sum(losses) / 2)
    assert "gradient/00-hidden.0.linear" in runs_of_relu[1].data.metrics


def test_a_store_that_fails_is_one_warning_or_an_error_on_request(
    client: MlflowClient,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert client
    (workspace / "broken.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/broken.db")
    track.main([])
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("warning: ")]
    assert len(lines) == 1
    assert "broken.db" in lines[0]
    assert lines[0].endswith("`make track` completes the mirror")
    with pytest.raises(StudyError, match=r"broken\.db.*run `make track` again"):
        track.main(["--insist"])


def remove_lock(workspace: Path) -> None:
    """Remove dvc.lock."""
    (workspace / "dvc.lock").unlink()


def rename_stage(workspace: Path) -> None:
    """Take a stage out of dvc.lock."""
    path = workspace / "dvc.lock"
    path.write_text(path.read_text().replace("extract@relu-0", "extract@other-0"))


def edit_output(workspace: Path) -> None:
    """Make an output longer than dvc.lock has it."""
    with (workspace / paths.run_record("relu", 0)).open("a") as file:
        file.write("\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_lock, r"dvc\.lock: missing; run: make repro"),
        (rename_stage, "has no stage extract@relu-0"),
        (edit_output, r"data/training/relu/seed-0: differs from what dvc\.lock records"),
    ],
)
def test_results_that_dvc_lock_does_not_record_are_not_mirrored(
    client: MlflowClient, workspace: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(workspace)
    with pytest.raises(StudyError, match=message):
        track.main([])
    assert client.get_experiment_by_name(identity.ROOT_EXPERIMENT) is None
