"""MLflow, behind one small class: runs that are written once, whole, and found again."""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "1")  # read when mlflow is imported

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

STORE = "sqlite:///mlflow.db"
IDENTITY = "study.identity"

# Opens the experiment where MLflow shows metrics, rather than traces of language models.
_TRAINING_VIEW = {"mlflow.experimentKind": "custom_model_development"}
_METRICS_PER_CALL = 1000  # MLflow's limits
_PARAMS_PER_CALL = 100


class Point(NamedTuple):
    """A metric's value at an epoch or a step."""

    key: str
    value: float
    step: int


class Content(NamedTuple):
    """What a run holds.

    Attributes:
        params: {key: value}; a value is written as text.
        points: The metrics.
        artifacts: {file: the folder that it goes to in the run's artifacts}.
    """

    params: Mapping[str, Any]
    points: Sequence[Point]
    artifacts: Mapping[Path, str]


class Mirror:
    """The runs of one experiment.

    A run is known by its name and its identity, a digest of what it mirrors. The store is the one
    that MLFLOW_TRACKING_URI names, or else mlflow.db in the working directory.
    """

    def __init__(self, experiment: str) -> None:
        for noisy in ("alembic", "mlflow"):  # a line per migration of a new database
            logging.getLogger(noisy).setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=os.environ.get("MLFLOW_TRACKING_URI", STORE))
        known = self._client.get_experiment_by_name(experiment)
        self._experiment = (
            known.experiment_id
            if known
            else self._client.create_experiment(experiment, tags=_TRAINING_VIEW)
        )

    def has(self, name: str, identity: str) -> bool:
        """Tell whether a finished run of this name and identity is there.

        One that was begun and not finished is closed as failed: it is not the mirror of anything.

        Returns:
            True if there is one.
        """
        found = self._client.search_runs(
            [self._experiment],
            filter_string=f"tags.`{IDENTITY}` = '{identity}' AND tags.`mlflow.runName` = '{name}'",
        )
        for unfinished in found:
            if unfinished.info.status == "RUNNING":
                self._client.set_terminated(unfinished.info.run_id, status="FAILED")
        return any(each.info.status == "FINISHED" for each in found)

    def write(self, name: str, identity: str, content: Content) -> None:
        """Write a run; it counts as finished only when everything is in it."""
        created = self._client.create_run(
            self._experiment, run_name=name, tags={IDENTITY: identity}
        )
        run_id, now_ms = created.info.run_id, int(time.time() * 1000)
        params = [Param(key, str(value)) for key, value in content.params.items()]
        metrics = [Metric(p.key, p.value, now_ms, p.step) for p in content.points]
        for start in range(0, len(params), _PARAMS_PER_CALL):
            self._client.log_batch(run_id, params=params[start : start + _PARAMS_PER_CALL])
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            self._client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_CALL])
        for path, folder in content.artifacts.items():
            self._client.log_artifact(run_id, str(path), folder)
        self._client.set_terminated(run_id, status="FINISHED")
