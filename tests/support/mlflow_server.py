"""MLflow's server as a process that ends with a test, and the runs in a store."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from vanishing.tracking.identity import ROOT_EXPERIMENT


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def serving(port: int, folder: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `mlflow server` on a port of 127.0.0.1, in a process group of its own, until the end."""
    command = [sys.executable, "-m", "mlflow", "server", *options, "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    log = folder / "server.log"
    with log.open("ab") as file:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert time.monotonic() < deadline, log.read_text()
            assert server.poll() is None, log.read_text()
            time.sleep(0.3)
        yield server
    finally:
        kill(server)


def kill(server: subprocess.Popen[bytes]) -> None:
    """Kill the server and its workers."""
    if server.poll() is None:
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def answers(port: int) -> bool:
    """Return whether a server of MLflow's answers on a port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1):
            return True
    except OSError:
        return False


def runs(uri: str, name: str = ROOT_EXPERIMENT) -> list[Run]:
    """Return all runs of an experiment; none where it does not exist."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(name)
    return [] if experiment is None else list(client.search_runs([experiment.experiment_id]))
