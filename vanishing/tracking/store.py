"""The runs of one experiment in MLflow's store: each complete, and there exactly once."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run

from vanishing.tracking import timing, viewer
from vanishing.tracking.connection import connect, explaining
from vanishing.tracking.identity import Experiment
from vanishing.tracking.scalars import Scalar
from vanishing.tracking.tags import (
    ARTIFACTS_OF_TAG,
    COLOR,
    DESCRIBED,
    FIGURES,
    IDENTITY,
    NOTE,
    PARENT,
    PROCESS,
    SOURCE,
    SUPERSEDED,
    TIMES,
    VERDICT,
    WEIGHTS,
)
from vanishing.tracking.timing import Times

FINISHED, FAILED, RUNNING = "FINISHED", "FAILED", "RUNNING"

_METRICS_PER_CALL = 1000  # MLflow's limits
_PARAMS_PER_CALL = 100
# Tags that are brought up to date in a finished run: no reason for a new one.
_KEPT_UP_TO_DATE = (FIGURES, WEIGHTS, PARENT, VERDICT, COLOR, SOURCE, DESCRIBED)
_LARGEST = 1.7976931348623157e308  # what MLflow makes of infinity


class Content(NamedTuple):
    """What a run holds.

    Attributes:
        times: Its start and its end; None where they are not known.
        params: {key: value}; a value is written as text.
        scalars: The metrics, each name and step once.
        tags: {key: value}.
        dataset: Name and digest of the training data; None for the report and a recorded run.
        artifacts: {file: its folder in the run's artifacts}.
    """

    times: Times | None
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


class MLflowStore:
    """The runs of one experiment. Its methods raise a StoreError where MLflow fails."""

    def __init__(self, experiment: Experiment) -> None:
        """Find the experiment, or create it, and a SQLite database with it."""
        self.address = experiment.store
        self._client, self.experiment_id = connect(experiment)

    def describe(self, tags: Mapping[str, str]) -> None:
        """Set tags of the experiment where they differ.

        Its description is left as it is, whoever changed it, until this project has another.
        """
        with explaining(self.address):
            current = self._client.get_experiment(self.experiment_id).tags
            for tag, value in _outdated(tags, tags, current).items():
                self._client.set_experiment_tag(self.experiment_id, tag, value)

    def begin(self, name: str, tags: Mapping[str, str], started: float) -> str:
        """Create a run that this process, a viewer, writes while training runs.

        Args:
            name: The run's name.
            tags: {key: value}.
            started: When training began, in seconds since 1970.

        Returns:
            Its id.
        """
        with explaining(self.address):
            return self._create(name, {**tags, PROCESS: viewer.describe()}, started)

    def log(self, run_id: str, scalars: Sequence[Scalar]) -> None:
        """Add metrics to a run."""
        now_ms = int(time.time() * 1000)
        metrics = [Metric(s.name, float(s.value), now_ms, int(s.step)) for s in scalars]
        with explaining(self.address):
            for start in range(0, len(metrics), _METRICS_PER_CALL):
                batch = metrics[start : start + _METRICS_PER_CALL]
                self._client.log_batch(run_id, metrics=batch)

    def end(self, run_id: str, status: str, ended: float) -> None:
        """Close a run as FINISHED or FAILED at a time, in seconds since 1970."""
        with explaining(self.address):
            self._client.set_terminated(run_id, status=status, end_time=timing.milliseconds(ended))

    def ensure(self, name: str, identity: str, content: Content) -> Ensured:
        """See to it that exactly one finished run of a name has an identity, and is complete.

        An interrupted run of this identity is completed, and so is a run that showed its training
        live: what it lacks is added. A run that holds anything else than `content` is left as it
        is, and a new one is written. MLflow cannot change the start of a run: a run with another
        start is replaced. If MLflow fails, the next call adds what is missing.

        Args:
            name: The run's name.
            identity: Of the results.
            content: What the run should hold.

        Returns:
            The run.
        """
        with explaining(self.address):
            runs = list(self._runs(f"attributes.run_name = '{name}'"))
            same = [run for run in runs if run.data.tags.get(IDENTITY) == identity]
            finished = [run for run in same if run.info.status == FINISHED]
            timely = [run for run in finished if timing.is_timely(run, content.times)]
            if timely:
                # Two processes that ran at once may both have written it.
                first = min(timely, key=lambda run: run.info.run_id)
                others = [run for run in finished if run is not first]
                self._delete(others)
                updated = self._update(first, content)
                return Ensured(str(first.info.run_id), updated or bool(others))
            live = [run for run in runs if timing.showed(run, content.times) and run not in same]
            late = [run for run in same + live if not timing.may_become_timely(run, content.times)]
            run_id = self._complete_one([run for run in same + live if run not in late], content)
            if run_id is None:
                started = content.times.started if content.times else time.time()
                run_id = self._create(name, {IDENTITY: identity}, started)
                self._add(self._client.get_run(run_id), content, {})
            self._finish(run_id, identity, content)
            replaced = {run.info.run_id: run for run in late + finished}
            self._delete([run for old, run in replaced.items() if old != run_id])
            return Ensured(run_id, written=True)

    def _create(self, name: str, tags: Mapping[str, str], started: float) -> str:
        run = self._client.create_run(
            self.experiment_id, timing.milliseconds(started), dict(tags), run_name=name
        )
        return str(run.info.run_id)

    def _finish(self, run_id: str, identity: str, content: Content) -> None:
        """Tag a run that holds everything, and close it: without an end if none is known."""
        tags = {**content.tags, IDENTITY: identity}
        if content.times:
            tags[TIMES] = content.times.trainings
        for key, value in tags.items():
            self._client.set_tag(run_id, key, value)
        if content.times:
            ended = timing.milliseconds(content.times.ended)
            self._client.set_terminated(run_id, status=FINISHED, end_time=ended)
        else:
            self._client.update_run(run_id, status=FINISHED)

    def _delete(self, runs: Sequence[Run]) -> None:
        for run in runs:
            self._client.delete_run(run.info.run_id)

    def _update(self, run: Run, content: Content) -> bool:
        """Bring the tags of a finished run up to date, with the artifacts that belong to them.

        Returns:
            Whether any was outdated.
        """
        outdated = _outdated(_KEPT_UP_TO_DATE, content.tags, run.data.tags)
        folders = {ARTIFACTS_OF_TAG.get(tag) for tag in outdated}
        for path, folder in content.artifacts.items():
            if folder in folders:
                self._client.log_artifact(run.info.run_id, str(path), folder)
        for tag, value in outdated.items():
            self._client.set_tag(run.info.run_id, tag, value)
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
        with explaining(self.address):
            for run in self._runs():
                tags, run_id, name = run.data.tags, run.info.run_id, run.info.run_name
                if not {IDENTITY, PROCESS} & tags.keys():
                    continue  # somebody's own
                if run.info.status == RUNNING and not viewer.is_running(tags.get(PROCESS, "")):
                    self._client.update_run(run_id, status=FAILED)  # nobody knows when it ended
                if IDENTITY in tags or run.info.status == FINISHED:
                    outdated = tags.get(IDENTITY) != current.get(name)
                    if outdated and SUPERSEDED not in tags:
                        reason = "changed" if name in current else "removed"
                        self._client.set_tag(run_id, SUPERSEDED, reason)
                    elif not outdated and SUPERSEDED in tags:
                        self._client.delete_tag(run_id, SUPERSEDED)

    def _runs(self, condition: str = "") -> Iterator[Run]:
        """Yield the experiment's runs that are not deleted and fulfil a condition, if any."""
        page = self._client.search_runs([self.experiment_id], condition)
        yield from page
        while page.token:
            page = self._client.search_runs([self.experiment_id], condition, page_token=page.token)
            yield from page


def _outdated(
    tags: Iterable[str], wanted: Mapping[str, str], current: Mapping[str, str]
) -> dict[str, str]:
    """Return those of some tags that differ from what is wanted.

    A description that a person has changed stays until there is another one: a digest tells.

    Args:
        tags: Their names; those that nothing is wanted of are left out.
        wanted: {tag: value}.
        current: {tag: value}.

    Returns:
        {tag: value that is wanted}.
    """
    outdated = {
        tag: wanted[tag]
        for tag in tags
        if tag != NOTE and tag in wanted and wanted[tag] != current.get(tag)
    }
    return {NOTE: wanted[NOTE], **outdated} if DESCRIBED in outdated else outdated


def _same(value: float, logged: float) -> bool:
    """Return whether MLflow logged this value; it keeps NaN, and clips infinity."""
    clipped = max(-_LARGEST, min(_LARGEST, value))
    return clipped == logged or (value != value and logged != logged)  # noqa: PLR0124
