"""The runs of one experiment in MLflow's store: each complete, and there exactly once."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "1")  # these are read when mlflow is imported
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LifecycleStage, Metric, Param, Run
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from vanishing.errors import redact
from vanishing.tracking import viewer
from vanishing.tracking.identity import Experiment, database
from vanishing.tracking.scalars import Scalar

FINISHED, FAILED, RUNNING = "FINISHED", "FAILED", "RUNNING"

# Tags of a run:
VARIANT = "study.variant"
SEED = "study.seed"
IDENTITY = "study.identity"  # of the results that it mirrors
TRAINING = "study.training"  # the training that it showed live
PROCESS = "study.process"  # the viewer that writes it while it is running
PARENT = "mlflow.parentRunId"  # the variant's run, under which MLflow shows a training run
FIGURES = "study.figures"  # a digest of the figures among its artifacts
WEIGHTS = "study.weights"  # there if the weights are among its artifacts; a clone may lack them
SUPERSEDED = "study.superseded"  # why the results that it mirrors are no longer current

ARTIFACTS_OF_TAG = {FIGURES: "figures", WEIGHTS: "models"}  # {tag: folder of artifacts}

# Opens the experiment where MLflow shows metrics, rather than traces of language models.
_TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
_LONGEST_REASON = 200  # characters of MLflow's message that a warning repeats
_METRICS_PER_CALL = 1000  # MLflow's limits
_PARAMS_PER_CALL = 100
_LARGEST = 1.7976931348623157e308  # what MLflow makes of infinity


class StoreError(Exception):
    """MLflow's store cannot be reached or fails; the reason in one line."""


class Content(NamedTuple):
    """What a run holds.

    Attributes:
        params: {key: value}; a value is written as text.
        scalars: The metrics, each name and step once.
        tags: {key: value}.
        dataset: Name and digest of the training data; None for the report.
        artifacts: {file: its folder in the run's artifacts}.
    """

    params: Mapping[str, Any]
    scalars: Sequence[Scalar]
    tags: Mapping[str, str]
    dataset: tuple[str, str] | None
    artifacts: Mapping[Path, str]


class Ensured(NamedTuple):
    """A run that is known to be complete.

    Attributes:
        run_id: MLflow's id of it.
        written: Whether anything had to be written for it.
    """

    run_id: str
    written: bool


@contextmanager
def _explaining(address: str) -> Iterator[None]:
    """Turn whatever MLflow raises into a StoreError that names the store."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        reason = shorten(redact(str(error)), _LONGEST_REASON, placeholder=" …")
        raise StoreError(f"MLflow at {redact(address)}: {reason}") from error


class MLflowStore:
    """The runs of one experiment. Its methods raise a StoreError where MLflow fails."""

    def __init__(self, experiment: Experiment) -> None:
        """Find the experiment, or create it, and a SQLite database with it."""
        for chatty in ("alembic", "mlflow", "urllib3"):  # a line per migration, and per retry
            logging.getLogger(chatty).setLevel(logging.ERROR)
        self.address = experiment.store
        # A database may be used from several working directories at once: by studies, and by
        # stages that run at the same time.
        file = database(self.address)
        folder = file.parent if file else None
        lock = (folder or Path()) / ".study/mlflow.lock"
        # Two processes that create the tables of a new database at once break it.
        with _explaining(self.address):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):
                if file and not file.exists():
                    _create_database(file)
                self._client = MlflowClient(tracking_uri=self.address)
                self._experiment = self._find_or_create(experiment.name, folder)

    def _find_or_create(self, name: str, folder: Path | None) -> str:
        """Return the experiment's id; its artifacts are beside the database, if there is one."""
        experiment = self._client.get_experiment_by_name(name)
        place = Path("mlruns") / name
        artifacts = (folder / place).resolve().as_uri() if folder else None
        if experiment is None:
            try:
                return str(self._client.create_experiment(name, artifacts, tags=_TRAINING_VIEW))
            except MlflowException:  # another machine was quicker, or else this fails again
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            raise StoreError(
                f"MLflow at {redact(self.address)}: the experiment {name} is deleted; run: mlflow"
                f" experiments restore --experiment-id {experiment.experiment_id}, with"
                " MLFLOW_TRACKING_URI set to that address"
            )
        # MLflow keeps the absolute path, and would make the old folder again.
        location = str(experiment.artifact_location)
        if artifacts and location != artifacts and location.endswith(place.as_posix()):
            raise StoreError(
                f"MLflow at {self.address}: was made in another folder, and keeps its artifacts in"
                f" {location}; move it back there, or remove mlflow.db and mlruns/ here:"
                " `make track` mirrors the results again"
            )
        return str(experiment.experiment_id)

    def begin(self, name: str, tags: Mapping[str, str]) -> str:
        """Create a run that this process, a viewer, writes while training runs.

        Returns:
            Its id.
        """
        with _explaining(self.address):
            return self._create(name, {**tags, PROCESS: viewer.describe()})

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        """Add metrics to a run."""
        now_ms = int(time.time() * 1000)
        metrics = [Metric(s.name, float(s.value), now_ms, int(s.step)) for s in scalars]
        with _explaining(self.address):
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                batch = metrics[start : start + _METRICS_PER_CALL]
                self._client.log_batch(run_id, metrics=batch)

    def end(self, run_id: str, status: str) -> None:
        """Close a run as FINISHED or FAILED."""
        with _explaining(self.address):
            self._client.set_terminated(run_id, status=status)

    def ensure(
        self, name: str, identity: str, content: Content, training: str | None = None
    ) -> Ensured:
        """See to it that exactly one finished run of a name has an identity, and is complete.

        An interrupted run of this identity is completed, and so is a run that showed this training
        live: what it lacks is added. A run that holds anything else than `content` is left as it
        is, and a new one is written. If MLflow fails, the next call adds what is missing.

        Args:
            name: The run's name.
            identity: Of the results.
            content: What the run should hold.
            training: The training that wrote the results, if it is known.

        Returns:
            The run.
        """
        with _explaining(self.address):
            runs = list(self._runs(f"attributes.run_name = '{name}'"))
            same = [run for run in runs if run.data.tags.get(IDENTITY) == identity]
            finished = [run for run in same if run.info.status == FINISHED]
            if finished:
                # Two processes that ran at once may both have written it.
                first, *doubles = sorted(finished, key=lambda run: run.info.run_id)
                for double in doubles:
                    self._client.delete_run(double.info.run_id)
                updated = self._update(first, content)
                return Ensured(str(first.info.run_id), updated or bool(doubles))
            live = [run for run in runs if training and run.data.tags.get(TRAINING) == training]
            run_id = self._complete_one(same + live, content)
            if run_id is None:
                run_id = self._create(name, {IDENTITY: identity})
                self._add(self._client.get_run(run_id), content, {})
            for key, value in {**content.tags, IDENTITY: identity}.items():
                self._client.set_tag(run_id, key, value)
            self._client.set_terminated(run_id, status=FINISHED)
            return Ensured(run_id, written=True)

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def _update(self, run: Run, content: Content) -> bool:
        """Bring a finished run's figures, weights and parent up to date: no reason for a new run.

        Returns:
            Whether they were outdated.
        """
        outdated = [
            tag
            for tag in (*ARTIFACTS_OF_TAG, PARENT)
            if tag in content.tags and content.tags[tag] != run.data.tags.get(tag)
        ]
        folders = {ARTIFACTS_OF_TAG.get(tag) for tag in outdated}
        for path, folder in content.artifacts.items():
            if folder in folders:
                self._client.log_artifact(run.info.run_id, str(path), folder)
        for tag in outdated:
            self._client.set_tag(run.info.run_id, tag, content.tags[tag])
        return bool(outdated)

    def _complete_one(self, runs: Sequence[Run], content: Content) -> str | None:
        """Complete the first run that holds nothing else than `content`, tags and status apart.

        Returns:
            Its id; None if there is no such run.
        """
        for run in runs:
            params = {key: str(value) for key, value in content.params.items()}
            if not run.data.params.items() <= params.items():
                continue
            logged = {
                (name, metric.step): metric.value
                for name in run.data.metrics
                for metric in self._client.get_metric_history(run.info.run_id, name)
            }
            wanted = {(scalar.name, scalar.step): scalar.value for scalar in content.scalars}
            if all(key in wanted and _same(wanted[key], value) for key, value in logged.items()):
                self._add(run, content, logged)
                return str(run.info.run_id)
        return None

    def _add(self, run: Run, content: Content, logged: Mapping[tuple[str, int], float]) -> None:
        """Add to a run what it lacks of `content`, tags and status apart.

        Args:
            run: The run.
            content: What it should hold.
            logged: {(name, step): value} of its metrics.
        """
        run_id = str(run.info.run_id)
        missing = {
            key: value for key, value in content.params.items() if key not in run.data.params
        }
        params = [Param(key, str(value)) for key, value in missing.items()]
        for start in range(0, len(params), _PARAMS_PER_CALL):
            self._client.log_batch(run_id, params=params[start : start + _PARAMS_PER_CALL])
        self.log(run_id, [s for s in content.scalars if (s.name, s.step) not in logged])
        if content.dataset and not (run.inputs and run.inputs.dataset_inputs):
            name, digest = content.dataset
            dataset = Dataset(name, digest, source_type="local", source="{}")
            tag = InputTag("mlflow.data.context", "training")
            self._client.log_inputs(run_id, [DatasetInput(dataset, [tag])])
        sizes = {
            artifact.path: artifact.file_size
            for folder in set(content.artifacts.values())
            for artifact in self._client.list_artifacts(run_id, folder)
        }
        for path, folder in content.artifacts.items():
            if sizes.get(f"{folder}/{path.name}") != path.stat().st_size:
                self._client.log_artifact(run_id, str(path), folder)

    def retire(self, current: Mapping[str, str]) -> None:
        """Mark the runs whose results are no longer current, and close those that crashed.

        Args:
            current: {name of a run: identity} of all results.
        """
        with _explaining(self.address):
            for run in self._runs():
                tags, run_id, name = run.data.tags, run.info.run_id, run.info.run_name
                if not {IDENTITY, PROCESS} & tags.keys():
                    continue  # somebody's own
                if run.info.status == RUNNING and not viewer.is_running(tags.get(PROCESS, "")):
                    self._client.set_terminated(run_id, status=FAILED)
                if IDENTITY in tags or run.info.status == FINISHED:
                    outdated = tags.get(IDENTITY) != current.get(name)
                    if outdated and SUPERSEDED not in tags:
                        reason = "changed" if name in current else "removed"
                        self._client.set_tag(run_id, SUPERSEDED, reason)
                    elif not outdated and SUPERSEDED in tags:
                        self._client.delete_tag(run_id, SUPERSEDED)

    def _runs(self, condition: str = "") -> Iterator[Run]:
        """Yield the experiment's runs that are not deleted and fulfil a condition, if any."""
        page = self._client.search_runs([self._experiment], condition)
        yield from page
        while page.token:
            page = self._client.search_runs([self._experiment], condition, page_token=page.token)
            yield from page


def _create_database(file: Path) -> None:
    """Create MLflow's SQLite database under another name, and rename it once it is complete.

    Creating its tables takes seconds. A process that is killed meanwhile would leave some of them,
    with which no later process can begin.
    """
    unfinished = file.with_name(f".{file.name}.new")
    unfinished.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments()
    unfinished.replace(file)


def _same(value: float, logged: float) -> bool:
    """Return whether MLflow logged this value; it keeps NaN, and clips infinity."""
    clipped = max(-_LARGEST, min(_LARGEST, value))
    return clipped == logged or (value != value and logged != logged)  # noqa: PLR0124
