"""MLflow, behind one small class: runs that are whole, there once, and found again."""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "1")  # these are read when mlflow is imported
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from vanishing.tracking import identity as store
from vanishing.tracking.scalars import Point

EXPERIMENT = "vanishing-gradients"
FINISHED, FAILED = "FINISHED", "FAILED"

# Tags of a run:
IDENTITY = "study.identity"  # what it mirrors
TOKEN = "study.token"  # noqa: S105 - the training that wrote it while it ran
PROCESS = "study.process"  # the process that writes it while it runs
FIGURES = "study.figures"  # a digest of the figures among its artifacts
SUPERSEDED = "study.superseded"  # why it mirrors nothing that there is now

# Opens the experiment where MLflow shows metrics, rather than traces of language models.
_TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
_METRICS_PER_CALL = 1000  # MLflow's limits
_PARAMS_PER_CALL = 100
_LARGEST = 1.7976931348623157e308  # what MLflow makes of infinity


class StoreError(Exception):
    """MLflow's store cannot be reached or fails; why, in one line."""


class Content(NamedTuple):
    """What a run holds.

    Attributes:
        params: {key: value}; a value is written as text.
        points: The metrics, each key and step once.
        tags: {key: value}.
        dataset: Name and digest of the input, if there is one.
        artifacts: {file: the folder that it goes to in the run's artifacts}.
    """

    params: Mapping[str, Any]
    points: Sequence[Point]
    tags: Mapping[str, str]
    dataset: tuple[str, str] | None
    artifacts: Mapping[Path, str]


@contextmanager
def _speaking(uri: str) -> Iterator[None]:
    """Turn whatever MLflow raises into a StoreError that names the store."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise StoreError(f"MLflow at {uri}: {reason[:200]}") from error


def _folder_of_database(uri: str) -> Path | None:
    """Return the folder of SQLite's file; None for any other store."""
    database = make_url(uri).database if uri.startswith("sqlite") else None
    return Path(database).parent if database else None


class Store:
    """The runs of one experiment, in the store that MLFLOW_TRACKING_URI names, or in mlflow.db."""

    def __init__(self, experiment: str = EXPERIMENT) -> None:
        for noisy in ("alembic", "mlflow", "urllib3"):  # a line per migration, and per retry
            logging.getLogger(noisy).setLevel(logging.ERROR)
        self.uri = store.uri()
        # A database may be used from several working directories at once: by stages side by side.
        folder = _folder_of_database(self.uri)
        lock = (folder or Path()) / ".study/mlflow.lock"
        # Two processes that create the tables of a new database at once break it.
        with _speaking(self.uri):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):
                self._client = MlflowClient(tracking_uri=self.uri)
                self._experiment = self._find_or_create(experiment, folder)

    def _find_or_create(self, experiment: str, folder: Path | None) -> str:
        known = self._client.get_experiment_by_name(experiment)
        if known is None:
            try:
                artifacts = (folder / "mlruns" / experiment).resolve().as_uri() if folder else None
                return str(
                    self._client.create_experiment(experiment, artifacts, tags=_TRAINING_VIEW)
                )
            except MlflowException:  # another machine was quicker, or else this fails again
                known = self._client.get_experiment_by_name(experiment)
                if known is None:
                    raise
        return str(known.experiment_id)

    def begin(self, name: str, token: str) -> str:
        """Create a run that this process is going to write while training runs.

        Returns:
            Its id.
        """
        process = f"{os.uname().nodename}:{os.getpid()}"
        with _speaking(self.uri):
            created = self._client.create_run(
                self._experiment, run_name=name, tags={TOKEN: token, PROCESS: process}
            )
        return str(created.info.run_id)

    def log(self, run_id: str, points: Sequence[Point]) -> None:
        """Add metrics to a run."""
        now_ms = int(time.time() * 1000)
        metrics = [Metric(p.key, float(p.value), now_ms, int(p.step)) for p in points]
        with _speaking(self.uri):
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                batch = metrics[start : start + _METRICS_PER_CALL]
                self._client.log_batch(run_id, metrics=batch)

    def end(self, run_id: str, status: str) -> None:
        """Close a run as FINISHED or FAILED."""
        with _speaking(self.uri):
            self._client.set_terminated(run_id, status=status)

    def ensure(self, name: str, identity: str, content: Content, token: str | None = None) -> bool:
        """See to it that exactly one finished run of a name has an identity, and is whole.

        A run that was begun for this identity, or by the training with this token, is completed:
        what it lacks is added. It is left as it is, and another one written, where it holds
        anything else than `content`. Should MLflow fail, the next time adds what is missing.

        Args:
            name: The run's name.
            identity: What tells these results from any others.
            content: What the run should hold.
            token: Of the training that the results come from.

        Returns:
            Whether anything was written.
        """
        with _speaking(self.uri):
            runs = list(self._runs(f"attributes.run_name = '{name}'"))
            same = [run for run in runs if run.data.tags.get(IDENTITY) == identity]
            finished = [run for run in same if run.info.status == FINISHED]
            if finished:
                # Two that ran at once may both have written it.
                first, *doubles = sorted(finished, key=lambda run: run.info.run_id)
                for double in doubles:
                    self._client.delete_run(double.info.run_id)
                return self._redraw(first, content) or bool(doubles)
            live = [run for run in runs if token and run.data.tags.get(TOKEN) == token]
            completed = (self._complete(run, content) for run in same + live)
            run_id = next(filter(None, completed), None) or self._create(name, identity, content)
            for key, value in {**content.tags, IDENTITY: identity}.items():
                self._client.set_tag(run_id, key, value)
            self._client.set_terminated(run_id, status=FINISHED)
            return True

    def _create(self, name: str, identity: str, content: Content) -> str:
        """Write a new run, tags and status apart."""
        tags = {IDENTITY: identity}
        created = self._client.create_run(self._experiment, run_name=name, tags=tags)
        run_id = str(created.info.run_id)
        self._complete(self._client.get_run(run_id), content)
        return run_id

    def _redraw(self, run: Run, content: Content) -> bool:
        """Replace a finished run's figures where they were drawn anew: no reason for a new run.

        Returns:
            Whether they were.
        """
        figures = content.tags.get(FIGURES)
        if run.data.tags.get(FIGURES) == figures:
            return False
        for path, folder in content.artifacts.items():
            if folder == "figures":
                self._client.log_artifact(run.info.run_id, str(path), folder)
        self._client.set_tag(run.info.run_id, FIGURES, figures)
        return True

    def _complete(self, run: Run, content: Content) -> str | None:
        """Add to a run what it lacks of `content`, tags and status apart.

        Returns:
            Its id, or None where it holds something else, and nothing was added.
        """
        run_id = str(run.info.run_id)
        wanted = {key: str(value) for key, value in content.params.items()}
        if any(wanted.get(key) != value for key, value in run.data.params.items()):
            return None
        there = {
            (key, metric.step): metric.value
            for key in run.data.metrics
            for metric in self._client.get_metric_history(run_id, key)
        }
        points = {(point.key, point.step): point for point in content.points}
        for place, value in there.items():
            if place not in points or not _same(points[place].value, value):
                return None
        params = [Param(k, v) for k, v in wanted.items() if k not in run.data.params]
        for start in range(0, len(params), _PARAMS_PER_CALL):
            self._client.log_batch(run_id, params=params[start : start + _PARAMS_PER_CALL])
        self.log(run_id, [point for place, point in points.items() if place not in there])
        if content.dataset and not (run.inputs and run.inputs.dataset_inputs):
            name, digest = content.dataset
            dataset = Dataset(name, digest, source_type="local", source="{}")
            tag = InputTag("mlflow.data.context", "training")
            self._client.log_inputs(run_id, [DatasetInput(dataset, [tag])])
        sizes: dict[str, dict[str, int | None]] = {}
        for path, folder in content.artifacts.items():
            if folder not in sizes:
                listed = self._client.list_artifacts(run_id, folder)
                sizes[folder] = {each.path: each.file_size for each in listed}
            if sizes[folder].get(f"{folder}/{path.name}") != path.stat().st_size:
                self._client.log_artifact(run_id, str(path), folder)
        return run_id

    def retire(self, current: Mapping[str, str]) -> None:
        """Mark the runs that mirror nothing that there is now, and close those that crashed.

        Args:
            current: {name: identity} of all that is there now.
        """
        with _speaking(self.uri):
            for run in self._runs():
                tags, run_id, name = run.data.tags, run.info.run_id, run.info.run_name
                if run.info.status == "RUNNING" and not _alive(tags.get(PROCESS, "")):
                    self._client.set_terminated(run_id, status=FAILED)
                if IDENTITY in tags:
                    stale = tags[IDENTITY] != current.get(name)
                    if stale and SUPERSEDED not in tags:
                        why = "changed" if name in current else "removed"
                        self._client.set_tag(run_id, SUPERSEDED, why)
                    elif not stale and SUPERSEDED in tags:
                        self._client.delete_tag(run_id, SUPERSEDED)

    def _runs(self, which: str = "") -> Iterator[Run]:
        """Yield the experiment's runs that were not deleted, or those of a filter."""
        page = self._client.search_runs([self._experiment], which)
        yield from page
        while page.token:
            page = self._client.search_runs([self._experiment], which, page_token=page.token)
            yield from page


def _same(wanted: float, there: float) -> bool:
    """Tell whether MLflow's value is the one wanted; it keeps NaN, and clips infinity."""
    clipped = max(-_LARGEST, min(_LARGEST, wanted))
    return clipped == there or (wanted != wanted and there != there)  # noqa: PLR0124


def _alive(process: str) -> bool:
    """Tell whether the process that writes a run may still be at it.

    Of another machine's nothing is known, so that it is taken to be.

    Returns:
        Whether it may.
    """
    host, _, pid = process.partition(":")
    if not pid:
        return False
    if host != os.uname().nodename:
        return True
    try:
        return b"vanishing.tracking.live" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
