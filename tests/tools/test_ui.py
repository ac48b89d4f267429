"""`make ui`: the port, the address, the browser, and MLflow's server behind them."""

import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from tests.support.processes import alive, below, until
from tests.support.servers import answers, free_port
from tests.support.study import ROOT
from tools import ui
from vanishing.errors import StudyError
from vanishing.tracking.identity import ROOT_EXPERIMENT
from vanishing.tracking.tags import VIEW


def test_a_port_that_is_taken_is_an_error_that_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(StudyError) as error:
            ui.check_port(port)
    message, _, other = str(error.value).rpartition("=")
    assert message == f"port {port}: Address already in use; run: make ui PORT"
    assert int(other) > port
    ui.check_port(int(other))
    with pytest.raises(StudyError, match=r"^port 70000: .*; run: make ui PORT=5000$"):
        ui.check_port(70000)


@pytest.mark.parametrize(
    ("variable", "opened"), [("DISPLAY", True), ("WAYLAND_DISPLAY", True), ("OTHER", False)]
)
def test_the_address_is_printed_and_opened_on_a_desktop(
    variable: str,
    opened: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    addresses: list[str] = []
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, ":0")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("webbrowser.open", addresses.append)
    ui.show("http://127.0.0.1:5000/#/")
    assert capsys.readouterr().out == "MLflow: http://127.0.0.1:5000/#/\n"
    assert addresses == (["http://127.0.0.1:5000/#/"] if opened else [])


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """End a process after a test that failed while it ran."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_a_server_shows_the_studys_experiment_and_ends_with_the_command(
    workspace: Path, empty_store: Path, way: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copy(empty_store, workspace / "mlflow.db")
    port = free_port()
    command = [sys.executable, "-m", "tools.ui", "--port", str(port)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        ended(process),
    ):
        assert process.stdout is not None
        address = process.stdout.readline().removeprefix("MLflow: ")
        client = MlflowClient(tracking_uri=f"http://127.0.0.1:{port}")
        experiment = client.get_experiment_by_name(ROOT_EXPERIMENT)
        assert experiment is not None
        start = f"http://127.0.0.1:{port}/#/experiments/{experiment.experiment_id}/runs?"
        assert address.startswith(start)
        assert any(tag.startswith(VIEW) for tag in experiment.tags)
        servers = [child.pid for child in below(process.pid)]
        listening = [
            connection.laddr.ip
            for server in servers
            for connection in psutil.Process(server).net_connections()
            if connection.status == psutil.CONN_LISTEN
        ]
        assert set(listening) == {"127.0.0.1"}  # MLflow lets everybody in who reaches it
        process.send_signal(way)
        assert process.wait(60) == 130
    until(lambda: not any(map(alive, servers)))
    assert not answers(port, "/health")


@pytest.mark.usefixtures("workspace")
def test_a_store_that_fails_is_an_error_in_one_line(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace / "broken.db").write_text("no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/broken.db")
    with pytest.raises(StudyError, match=r"^MLflow at sqlite:///.*/broken\.db: .+$"):
        ui.main(["--port", str(free_port())])
