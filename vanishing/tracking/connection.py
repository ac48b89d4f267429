"""The connection to MLflow: its client, the experiment of a study, and failures in one line."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "1")  # these are read when mlflow is imported
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] = "false"  # a run is finished once all of it is there

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from vanishing.errors import redact
from vanishing.tracking.identity import Experiment, database

# MLflow's own kind of experiments that train models; its client in the browser may ignore it.
_TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
_SCHEMAS = re.compile(r"database schema \(found version (\w+), but expected (\w+)\)")
_LONGEST_REASON = 200  # characters of MLflow's message that a warning repeats


class StoreError(Exception):
    """MLflow's store cannot be reached or fails; the reason in one line."""


@contextmanager
def explaining(address: str) -> Iterator[None]:
    """Turn whatever MLflow raises into a StoreError that names the store."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        reason = shorten(redact(str(error)), _LONGEST_REASON, placeholder=" …")
        if versions := _SCHEMAS.search(str(error)):
            reason = (
                f"its tables are of version {versions[1]}, and this MLflow needs {versions[2]}; if"
                f" they are older, run: mlflow db upgrade {redact(address)}; if they are newer, let"
                " MLFLOW_TRACKING_URI name another store"
            )
        raise StoreError(f"MLflow at {redact(address)}: {reason}") from error


def connect(experiment: Experiment) -> tuple[MlflowClient, str]:
    """Find an experiment, or create it, and a SQLite database with it.

    Returns:
        MLflow's client, and the id of the experiment.
    """
    # A line per migration and per retry, and tracebacks of what StoreError says in one line.
    for chatty in ("alembic", "mlflow", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    # A database may be used from several working directories at once: by studies, and by stages
    # that run at the same time.
    file = database(experiment.store)
    folder = file.parent if file else None
    lock = (folder or Path()) / ".study/mlflow.lock"
    # Two processes that create the tables of a new database at once break it.
    with explaining(experiment.store):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            if file and not file.exists():
                _create_database(file)
            client = MlflowClient(tracking_uri=experiment.store)
            return client, _find_or_create(client, experiment, folder)


def _find_or_create(client: MlflowClient, wanted: Experiment, folder: Path | None) -> str:
    """Return the experiment's id; its artifacts are beside the database, if there is one."""
    experiment = client.get_experiment_by_name(wanted.name)
    place = Path("mlruns") / wanted.name
    artifacts = (folder / place).resolve().as_uri() if folder else None
    if experiment is None:
        try:
            return str(client.create_experiment(wanted.name, artifacts, tags=_TRAINING_VIEW))
        except MlflowException:  # another machine was quicker, or else this fails again
            experiment = client.get_experiment_by_name(wanted.name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == LifecycleStage.DELETED:
        raise StoreError(
            f"MLflow at {redact(wanted.store)}: the experiment {wanted.name} is deleted; run:"
            f" mlflow experiments restore --experiment-id {experiment.experiment_id}, with"
            " MLFLOW_TRACKING_URI set to that address"
        )
    # MLflow keeps the absolute path, and would make the old folder again.
    location = str(experiment.artifact_location)
    if artifacts and location != artifacts and location.endswith(place.as_posix()):
        raise StoreError(
            f"MLflow at {wanted.store}: was made in another folder, and keeps its artifacts in"
            f" {location}; move it back there, or remove mlflow.db and mlruns/ here:"
            " `make track` mirrors the results again"
        )
    return str(experiment.experiment_id)


def _create_database(file: Path) -> None:
    """Create MLflow's SQLite database under another name, and rename it once it is complete.

    Creating its tables takes seconds. A process that is killed meanwhile would leave some of them,
    with which no later process can begin.
    """
    # A second that a store of another kind is spared.
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore  # noqa: PLC0415

    unfinished = file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    # The client would do it too, but the folder of artifacts that it chooses gets into SQL as it
    # is, and SQLite refuses one with an apostrophe. A URI has none.
    artifacts = Path("mlruns").resolve().as_uri()
    SqlAlchemyStore(f"sqlite:///{unfinished}", artifacts)  # type: ignore[no-untyped-call]
    unfinished.replace(file)
