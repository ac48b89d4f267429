"""MLflow's server as a process that ends with a test, and the runs in a store."""

import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.servers import running
from vanishing.tracking.identity import ROOT_EXPERIMENT


def serving(
    port: int, folder: Path, *options: str
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run `mlflow server` on a port of 127.0.0.1 until the end."""
    command = [sys.executable, "-m", "mlflow", "server", *options, "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    # Its jobs, which judge language models, are eight processes more.
    return running(command, folder, port, "/health", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")


def runs(uri: str, name: str = ROOT_EXPERIMENT) -> list[Run]:
    """Return all runs of an experiment; none where it does not exist."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))
