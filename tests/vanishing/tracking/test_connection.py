"""The connection to MLflow: an experiment is found or made, and failures are one line."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from vanishing.tracking.connection import StoreError, connect
from vanishing.tracking.identity import Experiment

NAME = "study"


@pytest.fixture
def experiment(tmp_path: Path, empty_store: Path) -> Experiment:
    """Give the experiment of an empty store, which is not made yet."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Experiment(f"sqlite:///{tmp_path}/mlflow.db", NAME)


def test_a_new_experiment_has_its_artifacts_beside_the_database_and_is_found_again(
    experiment: Experiment, tmp_path: Path
) -> None:
    client, experiment_id = connect(experiment)
    made = client.get_experiment(experiment_id)
    assert made.name == NAME
    assert made.artifact_location == (tmp_path / "mlruns" / NAME).as_uri()
    assert made.tags["mlflow.experimentKind"] == "custom_model_development"
    assert connect(experiment)[1] == experiment_id


@pytest.mark.slow
def test_a_database_is_created_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "it's #1, 100 % ñ"
    folder.mkdir()
    monkeypatch.chdir(folder)
    client, _ = connect(Experiment("sqlite:///mlflow.db", NAME))
    places = [experiment.artifact_location for experiment in client.search_experiments()]
    assert sorted(places) == [(folder / "mlruns" / name).as_uri() for name in ("0", NAME)]


def test_tables_of_another_mlflow_are_refused_with_both_remedies(experiment: Experiment) -> None:
    address = experiment.store
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'a1b2c3'")
    with pytest.raises(StoreError) as error:
        connect(experiment)
    (line,) = str(error.value).splitlines()
    assert "its tables are of version a1b2c3, and this MLflow needs " in line
    assert f"if they are older, run: mlflow db upgrade {address}; if they" in line


def test_a_store_that_fails_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("no database")
    with pytest.raises(StoreError, match=r"^MLflow at sqlite:///.*/broken\.db: .+$"):
        connect(Experiment(f"sqlite:///{tmp_path}/broken.db", NAME))


def test_a_missing_driver_is_named_and_no_password() -> None:
    with pytest.raises(StoreError) as error:
        connect(Experiment("mysql+absent://me:secret@127.0.0.1/mlflow", NAME))
    assert "secret" not in str(error.value)
    assert "mysql" in str(error.value)


def test_a_deleted_experiment_is_restored_by_the_command_that_the_error_names(
    experiment: Experiment,
) -> None:
    client, experiment_id = connect(experiment)
    client.delete_experiment(experiment_id)
    with pytest.raises(StoreError, match=r"is deleted; run: (mlflow .*), with MLFLOW_") as error:
        connect(experiment)
    command = str(error.value).partition("run: ")[2].partition(",")[0].split()
    subprocess.run(
        [sys.executable, "-m", *command],
        env=os.environ | {"MLFLOW_TRACKING_URI": experiment.store},
        check=True,
        capture_output=True,
    )
    assert connect(experiment)[1] == experiment_id


def test_a_store_that_was_moved_is_refused_and_made_again(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    connect(Experiment(f"sqlite:///{old}/mlflow.db", NAME))
    old.rename(new)
    with pytest.raises(StoreError, match=rf"keeps its artifacts in file://{old}/mlruns.*remove"):
        connect(Experiment(f"sqlite:///{new}/mlflow.db", NAME))
    assert not old.exists()
    (new / "mlflow.db").unlink()
    new.rename(tmp_path / "newer")  # since MLflow keeps the removed database open
    connect(Experiment(f"sqlite:///{tmp_path}/newer/mlflow.db", NAME))
    assert not old.exists()
