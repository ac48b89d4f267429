"""MLflow's server on PostgreSQL is killed while it shows a training run."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from stages import extract, initialise, track, train
from tests.support.mlflow_server import runs, serving
from tests.support.processes import needs
from tests.support.servers import free_port, kill
from tests.support.study import ROOT, prepare_training, tiny_params, write_lock, write_params
from vanishing.environment import LIVE_METRICS
from vanishing.tracking import journal


def postgres_bin() -> Path | None:
    """Return the folder of PostgreSQL's programs, as Debian installs them, or on PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("initdb")
    return installed[-1] if installed else Path(on_path).parent if on_path else None


pytestmark = [
    pytest.mark.slow,
    needs(postgres_bin(), "PostgreSQL is not installed here (Debian: apt install postgresql)"),
]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Start a PostgreSQL server for these tests; give the URI of an empty database."""
    programs = postgres_bin()
    assert programs is not None
    port = free_port()
    # PostgreSQL refuses to run as root, and its user may not enter pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="study-postgres-"))
    prefix = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        prefix = ["runuser", "-u", "postgres", "--"]

    def call(program: str, *arguments: str) -> None:
        command = [*prefix, str(programs / program), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    data, options = str(folder / "data"), f"-p {port} -c listen_addresses=127.0.0.1 -k {folder}"
    call("initdb", "-D", data, "-U", "study", "--auth=trust", "--no-sync")
    call("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        call("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "study", "mlflow")
        yield f"postgresql+psycopg2://study@127.0.0.1:{port}/mlflow"
    finally:
        call("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_a_server_killed_during_training_ends_with_one_complete_run(
    database: str,
    study_folder: Path,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    content = tiny_params()
    content["train"] |= {"epochs": 60, "snapshots": [0, "last"]}
    del content["variants"]["sigmoid-batchnorm"]
    write_params(workspace, content)
    prepare_training()
    for folder in ("models", "data/training", "data/statistics", "data/initialisation"):
        shutil.copytree(study_folder / folder / "sigmoid", workspace / folder / "sigmoid")
    initialise.main(["relu"])
    shutil.copytree(study_folder / "reports", workspace / "reports")
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(LIVE_METRICS, "1")
    monkeypatch.setattr(journal, "PATIENCE_S", 60.0)
    write = journal.Journal.write

    store = ("--backend-store-uri", database, "--artifacts-destination", str(workspace / "kept"))
    with serving(port, workspace, *store) as server:

        def kill_server_midway(self: journal.Journal, line: journal.Line) -> None:
            """Kill the server once it has metrics and half of the epochs are over."""
            write(self, line)
            if line["kind"] == "epoch" and line["row"]["epoch"] == 30:
                deadline = time.monotonic() + 60
                while not any(run.data.metrics for run in runs(uri)):
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                kill(server)

        with monkeypatch.context() as patch:
            patch.setattr(journal.Journal, "write", kill_server_midway)
            train.main(["relu", "0"])
    extract.main(["relu", "0"])
    write_lock(workspace)
    track.main([])  # the server is still down
    warnings = [line for line in capfd.readouterr().err.splitlines() if "warning:" in line]
    assert ["relu seed 0: no more live metrics" in line for line in warnings] == [True, False]
    assert "completes the mirror" in warnings[1]

    with serving(port, workspace, *store):
        (interrupted,) = runs(uri)
        assert interrupted.info.status == "RUNNING"
        track.main(["--insist"])
        by_name = {run.info.run_name: run for run in runs(uri)}
        assert len(runs(uri)) == len(by_name) == 5  # two variants, a run each, and the report
        relu = by_name["relu seed 0"]
        assert (relu.info.run_id, relu.info.status) == (interrupted.info.run_id, "FINISHED")
        client = MlflowClient(tracking_uri=uri)
        for name, count in (
            ("test_loss", 61),
            ("train_loss_batch", 121),
            ("weight_gradient_03_output", 121),
        ):
            steps = [metric.step for metric in client.get_metric_history(relu.info.run_id, name)]
            assert len(steps) == len(set(steps)) == count, name
        assert client.list_artifacts(relu.info.run_id, "models")
        before = [run.to_dictionary() for run in runs(uri)]
        track.main(["--insist"])
        assert [run.to_dictionary() for run in runs(uri)] == before
