"""Show the study's runs in MLflow: `python -m tools.ui [--port 5000]`, by `make ui`.

In: params.yaml (`root`) of the study in the working directory, and the store that
MLFLOW_TRACKING_URI names, or else the repository's mlflow.db, which is made if it is missing. Out:
MLflow's server on 127.0.0.1 until Ctrl-C, the address of the study's charts on stdout and, on a
desktop, in the browser. Where the store is a server's address, that server shows them.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vanishing.errors import StudyError, run_command
from vanishing.params.load import load
from vanishing.params.study import Study
from vanishing.tracking import identity, pages

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 120.0  # MLflow's server starts in 5 s, or 15 s on a busy machine
_LAST_PORT = 65535
_VARIABLES = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore",
    # Jobs judge language models; without them the server is 2 processes of 0.5 GB instead of 10 of
    # 1.8 GB, and starts in a third of the time.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def main(argv: list[str]) -> None:
    """Show the runs of the study in the working directory."""
    parser = argparse.ArgumentParser(prog="python -m tools.ui", description=__doc__)
    parser.add_argument("--port", type=int, default=pages.PORT, help="of 127.0.0.1")
    port = parser.parse_args(argv).port
    root = Path(load(Study).root).resolve()
    store = identity.experiment(root).store
    if pages.is_server(store):
        show(charts_address(root, port))
        return
    check_port(port)
    address = charts_address(root, port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends this command as Ctrl-C does
    with serving(store, port, root) as server:
        wait_for(server, port)
        show(address)
        server.wait()


def charts_address(root: Path, port: int) -> str:
    """Find or make the study's experiment, with its views.

    Returns:
        The address of its charts.

    Raises:
        StudyError: If MLflow fails.
    """
    # They import MLflow, which takes seconds.
    from vanishing.tracking import views  # noqa: PLC0415
    from vanishing.tracking.connection import StoreError  # noqa: PLC0415
    from vanishing.tracking.store import MLflowStore  # noqa: PLC0415

    experiment = identity.experiment(root)
    try:
        store = MLflowStore(experiment)
        store.describe(views.saved())
    except StoreError as error:
        raise StudyError(str(error)) from None
    return pages.address(experiment.store, store.experiment_id, port)


def check_port(port: int) -> None:
    """Check that a server can listen on a port.

    Raises:
        StudyError: If not; it names a port that would do.
    """
    reason = _refusal(port)
    if reason:
        others = (other for other in range(port + 1, _LAST_PORT) if not _refusal(other))
        other = next(others, pages.PORT)
        raise StudyError(f"port {port}: {reason}; run: make ui PORT={other}")


def _refusal(port: int) -> str | None:
    """Return why no server can listen on a port; None if one can."""
    try:
        with socket.create_server((pages.HOST, port)):
            return None
    except OSError as error:
        return os.strerror(error.errno or 0)
    except OverflowError as error:
        return str(error)


@contextmanager
def serving(store: str, port: int, root: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """Run MLflow's server, which says nothing but warnings, until the end."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store]
    command += ["--host", pages.HOST, "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    # The server has processes of its own, which end with their group.
    server = subprocess.Popen(
        command,
        cwd=root,
        env=os.environ | _VARIABLES,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until a server answers.

    Raises:
        StudyError: If it ends before, or takes too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > deadline:
            raise StudyError(f"MLflow's server did not start on port {port}; see its output above")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{pages.HOST}:{port}/health", timeout=1):
            return True
    except OSError:
        return False


def show(address: str) -> None:
    """Print an address, and open it where there is a desktop."""
    print(f"MLflow: {address}", flush=True)
    if sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        webbrowser.open(address)


if __name__ == "__main__":
    sys.exit(run_command(main))
