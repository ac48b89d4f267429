"""MLflow: exactly one finished run per variant and one for the report, however it came about."""

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from stages import track
from tests.support.study import tiny_params, write_lock, write_params
from vanishing.errors import StudyError
from vanishing.results import tables as results
from vanishing.tracking import journal, mirror
from vanishing.tracking import store as tracking
from vanishing.tracking.store import Store

NAMES = ("sigmoid", "relu", "sigmoid-batchnorm", "Report")


@pytest.fixture
def client(
    study_folder: Path, workspace: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> MlflowClient:
    """Give the finished study as working directory, with an empty store."""
    for folder in ("models", "data", "reports"):
        shutil.copytree(study_folder / folder, workspace / folder)
    write_lock(workspace)
    shutil.copy(empty_store, workspace / "mlflow.db")
    uri = f"sqlite:///{workspace}/mlflow.db"  # in full: MLflow keeps a store per URI and process
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(tracking_uri=uri)


def runs(client: MlflowClient) -> dict[str, list[Run]]:
    """Return the runs by name."""
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    found: dict[str, list[Run]] = {}
    for run in client.search_runs([experiment.experiment_id]):
        found.setdefault(run.info.run_name, []).append(run)
    return found


def current(client: MlflowClient) -> dict[str, Run]:
    """Return the one run of each name that is finished and not superseded."""
    found = {}
    for name, each in runs(client).items():
        (found[name],) = [
            run
            for run in each
            if run.info.status == "FINISHED"
            and tracking.IDENTITY in run.data.tags
            and tracking.SUPERSEDED not in run.data.tags
        ]
    return found


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
        for each in runs(client).values()
        for run in each
    }


def test_each_variant_has_one_finished_run_with_all_that_is_documented(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    found = runs(client)
    assert {name: [run.info.status for run in each] for name, each in found.items()} == {
        name: ["FINISHED"] for name in NAMES
    }
    (relu,) = found["relu"]
    assert relu.data.params["network.activation"] == "relu"
    assert relu.data.params["train.learning_rate"] == "0.01"
    history = pd.read_parquet(workspace / "models/relu/history.parquet")
    losses = client.get_metric_history(relu.info.run_id, "train_loss")
    assert [(m.step, m.value) for m in losses] == list(
        zip(history["epoch"], history["train_loss"], strict=True)
    )
    for key in ("gradient/00-hidden.0.linear", "gradient/03-output", "loss"):
        points = client.get_metric_history(relu.info.run_id, key)
        assert [m.step for m in points] == [1, 10, 20, 30, 40], key
    paths = {a.path for a in client.list_artifacts(relu.info.run_id, "statistics")}
    tables = ("layers", "histograms", "units", "initialisation", "depths", "theory")
    assert paths == {f"statistics/{table}.parquet" for table in tables}
    weights = {a.path for a in client.list_artifacts(relu.info.run_id, "model/seed-0")}
    assert "model/seed-0/epoch-002.safetensors" in weights
    assert [a.path for a in client.list_artifacts(relu.info.run_id, "figures")] == [
        "figures/relu.png"
    ]
    assert relu.inputs is not None
    (dataset,) = relu.inputs.dataset_inputs
    assert dataset.dataset.name == "MNIST"
    assert len(dataset.dataset.digest) == 32
    assert relu.data.tags["dvc.stage"] == "train@relu, extract@relu"
    assert len(relu.data.tags["dvc.models/relu"]) == 32
    (report,) = found["Report"]
    figures = client.list_artifacts(report.info.run_id, "reports/figures")
    assert {Path(a.path).name for a in figures} == {
        path.name for path in (workspace / "reports/figures").iterdir()
    }


def test_what_the_training_alone_knew_comes_from_its_journal(
    client: MlflowClient, study_folder: Path, workspace: Path
) -> None:
    shutil.copytree(study_folder / journal.FOLDER, workspace / journal.FOLDER)
    journal.path("sigmoid").write_text(
        journal.path("sigmoid").read_text().replace(journal.digest("sigmoid"), "of other weights")
    )
    track.main([])
    relu, sigmoid = current(client)["relu"], current(client)["sigmoid"]
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
    assert "0 runs written, 4 were there already" in capsys.readouterr().out


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
        assert not track.seen_before(json.loads(track.SEEN.read_text()))


def test_a_changed_variant_gets_a_new_run_and_the_old_one_stays_marked(
    client: MlflowClient, workspace: Path
) -> None:
    track.main([])
    old = current(client)["relu"].info.run_id
    table = workspace / "data/statistics/relu/layers.parquet"
    kept = table.read_bytes()
    shutil.copy(workspace / "data/statistics/sigmoid/layers.parquet", table)
    write_lock(workspace)
    track.main([])
    assert {name: len(each) for name, each in runs(client).items()} == {
        "sigmoid": 1,
        "relu": 2,
        "sigmoid-batchnorm": 1,
        "Report": 1,
    }
    assert client.get_run(old).data.tags[tracking.SUPERSEDED] == "changed"
    assert current(client)["relu"].info.run_id != old
    table.write_bytes(kept)
    write_lock(workspace)
    track.main([])
    assert current(client)["relu"].info.run_id == old  # which is there again, and no third one
    assert len(runs(client)["relu"]) == 2


def test_a_removed_variant_keeps_its_run_marked(client: MlflowClient, workspace: Path) -> None:
    track.main([])
    content = tiny_params()
    del content["variants"]["relu"]
    write_params(workspace, content)
    track.main([])
    (relu,) = runs(client)["relu"]
    assert relu.info.status == "FINISHED"
    assert relu.data.tags[tracking.SUPERSEDED] == "removed"


def test_a_redrawn_figure_replaces_the_old_one_in_the_same_run(
    client: MlflowClient, workspace: Path, tmp_path: Path
) -> None:
    track.main([])
    run_id = current(client)["relu"].info.run_id
    (workspace / "reports/figures/variants/relu.png").write_bytes(b"drawn anew")
    write_lock(workspace)
    track.main([])
    assert current(client)["relu"].info.run_id == run_id
    found = Path(client.download_artifacts(run_id, "figures/relu.png", str(tmp_path)))
    assert found.read_bytes() == b"drawn anew"
    assert len(runs(client)["relu"]) == 1


@pytest.mark.parametrize("call", ["log_batch", "log_artifact", "set_tag", "set_terminated"])
def test_a_run_that_was_cut_off_is_completed_not_doubled(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    calls = 0
    real = getattr(MlflowClient, call)

    def cut_off(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, cut_off)
        with pytest.raises(KeyboardInterrupt):
            track.main([])
    track.main([])
    assert {name: [r.info.status for r in each] for name, each in runs(client).items()} == {
        name: ["FINISHED"] for name in NAMES
    }
    for run in current(client).values():
        for key in run.data.metrics:
            steps = [m.step for m in client.get_metric_history(run.info.run_id, key)]
            assert len(steps) == len(set(steps)), key


def test_of_two_that_wrote_the_same_at_once_one_stays(client: MlflowClient) -> None:
    track.main([])
    (relu,) = runs(client)["relu"]
    tags = {tracking.IDENTITY: relu.data.tags[tracking.IDENTITY]}
    double = client.create_run(relu.info.experiment_id, run_name="relu", tags=tags)
    client.set_terminated(double.info.run_id)
    track.main(["--insist"])
    assert len(runs(client)["relu"]) == 1


def test_crashed_live_runs_are_closed_and_running_ones_left(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store()
    crashed = store.begin("relu", "a token of nothing that is there")
    track.main([])
    assert client.get_run(crashed).info.status == "FAILED"
    running = store.begin("relu", "another")
    monkeypatch.setattr(tracking, "_alive", lambda _: True)
    track.main(["--insist"])
    assert client.get_run(running).info.status == "RUNNING"
    assert current(client)["relu"].info.run_id not in {crashed, running}


def test_the_commit_is_named_and_whether_anything_else_was_changed(
    client: MlflowClient, workspace: Path
) -> None:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=workspace,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    assert mirror.git_state() == {}
    git("init", "-q")
    git("add", "params.yaml", "dvc.lock", "reports")
    (workspace / ".gitignore").write_text("data\nmodels\nmlruns\nmlflow.db\n.study\n")
    git("add", ".gitignore")
    git("commit", "-q", "-m", "all")
    clean = {"mlflow.source.git.commit": git("rev-parse", "HEAD"), "study.git.dirty": "false"}
    assert mirror.git_state() == clean
    (workspace / "dvc.lock").write_text((workspace / "dvc.lock").read_text() + "\n")
    (workspace / "reports/new.png").write_text("written by a stage")
    assert mirror.git_state() == clean
    track.main([])
    assert current(client)["relu"].data.tags.items() >= clean.items()
    (workspace / "params.yaml").write_text((workspace / "params.yaml").read_text() + "\n")
    assert mirror.git_state()["study.git.dirty"] == "true"


def test_several_seeds_stand_side_by_side_under_their_mean(
    client: MlflowClient, workspace: Path
) -> None:
    folder = workspace / "models/relu"
    for table in ("history", "losses", "trace"):
        frame = pd.read_parquet(folder / f"{table}.parquet")
        again = frame.assign(seed=1, **({"test_loss": 9.0} if table == "history" else {}))
        both = pd.concat([frame, again], ignore_index=True).drop(columns="variant")
        rows = [{str(k): v for k, v in row.items()} for row in both.to_dict("records")]
        results.write(table, "relu", rows)
    description = folder / "run.json"
    settings = json.loads(description.read_text())
    settings["train"]["seeds"] = [0, 1]
    description.write_text(json.dumps(settings))
    write_lock(workspace)
    track.main([])
    metrics = current(client)["relu"].data.metrics
    assert metrics["seed-1/test_loss"] == 9.0
    assert metrics["test_loss"] == pytest.approx((9.0 + metrics["seed-0/test_loss"]) / 2)
    assert "seed-1/gradient/00-hidden.0.linear" in metrics


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


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("rm dvc.lock", r"dvc\.lock: missing; run: make repro"),
        ("sed -i s/extract@relu/extract@other/ dvc.lock", "has no stage extract@relu"),
        ("echo >> models/relu/run.json", r"models/relu: is not what dvc\.lock has of it"),
    ],
)
def test_results_that_dvc_does_not_vouch_for_are_not_mirrored(
    client: MlflowClient, workspace: Path, damage: str, said: str
) -> None:
    subprocess.run(damage.split() if ">>" not in damage else ["true"], cwd=workspace, check=True)
    if ">>" in damage:
        with (workspace / "models/relu/run.json").open("a") as file:
            file.write("\n")
    with pytest.raises(StudyError, match=said):
        track.main([])
    assert client.get_experiment_by_name(tracking.EXPERIMENT) is None
