"""Fetching results: the tables are enough to redraw a study."""

import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.support import mlflow_server
from tests.support.dvc_repository import PYTHON, call, clone, edit_code, make, ran, repro
from tests.support.study import BASELINE, tiny_params, write_params
from tools import pull, stale
from tools.repro import needs_no_weights, stages_due

PIPELINE = """\
stages:
  train:
    cmd: train
    outs: [models/relu, data/training/models, data/raw]
    metrics: [{metrics.json: {cache: false}}]
"""

VARIANTS = list(tiny_params()["variants"])
RUNS = sorted(["Report", *VARIANTS, *(f"{variant} seed 0" for variant in VARIANTS)])


def test_weights_are_the_outputs_in_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    study = Path("studies/depths")
    study.mkdir(parents=True)
    (study / "dvc.yaml").write_text(PIPELINE)
    with Repo() as repo:
        tables = {f"{study}/data/training/models", f"{study}/data/raw"}
        assert set(map(str, pull.choose_outputs(repo, weights=False))) == tables
        weights = {f"{study}/models/relu"}
        assert set(map(str, pull.choose_outputs(repo, weights=True))) == tables | weights


@pytest.mark.slow
def test_a_clone_with_tables_and_no_weights_redraws_the_study(
    repository: Path, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no DVC remote is set up" in make(repository, "push")
    assert "no DVC remote is set up" in make(repository, "pull")
    remote = str(tmp_path / "remote")
    call(repository, *PYTHON, "dvc", "remote", "add", "-q", "-d", "store", remote)
    call(repository, "git", "commit", "-qam", "a store")
    copy = clone(repository, tmp_path / "clone")
    assert "13 of 13 outputs are not in the DVC remote" in make(copy, "pull")
    make(repository, "push")
    assert "the tables are in place" in make(copy, "pull")
    shutil.copy(empty_store, copy / "mlflow.db")
    assert (copy / "data/training/relu/seed-0/history.parquet").exists()
    assert not (copy / "models").exists()

    style = copy / "vanishing/reporting/style.py"
    style.write_text(style.read_text().replace("#E69F00", "#F0E442"))
    template = copy / "vanishing/reporting/report.md.j2"
    template.write_text(template.read_text() + "\nAn added line.\n")
    printed = make(copy, "repro")
    assert printed.startswith("4 stages to run or restore")
    assert ran(printed) == ["fingerprint", "render", "report", "track"]
    assert "reports/figures/learning-curves.png" in call(copy, "git", "diff", "--name-only")
    assert (copy / "reports/README.md").read_text().endswith("An added line.\n")
    assert not (copy / "models").exists()
    assert finished_runs(copy) == RUNS

    monkeypatch.chdir(copy)
    params = tiny_params()
    params["variants"]["tanh"] = BASELINE | {"activation": "tanh", "compare_to": "sigmoid"}
    write_params(copy, params)
    of_tanh = ["train@tanh-0", "extract@tanh-0", "initialise@tanh"]
    closing = ["diagnose", "render", "report", "track"]
    assert due_without_weights() == ["fingerprint", "validate", *of_tanh, *closing]
    write_params(copy, tiny_params())
    edit_code(Path("vanishing/stats/exact.py"))
    assert due_without_weights() is None  # `extract` reads weights
    call(copy, "git", "checkout", "-q", "vanishing/stats")
    shutil.rmtree("data/statistics/relu")
    assert due_without_weights() is None  # nor are all tables here

    call(copy, "git", "checkout", "-q", ".")
    make(copy, "pull", WEIGHTS="1")
    assert (copy / "models/relu/seed-0/epoch-002.safetensors").exists()
    assert not set(repro(copy)) - {"report", "track"}  # the others are restored
    assert call(copy, "git", "status", "--porcelain") == ""
    (copy / "mlflow.db").unlink()
    assert f"MLflow: {len(RUNS)} runs written" in make(copy, "repro")
    assert "MLflow: nothing new" in make(copy, "repro")


def finished_runs(repository: Path) -> list[str]:
    """Return the names of the finished runs of a repository's store."""
    runs = mlflow_server.runs(f"sqlite:///{repository}/mlflow.db")
    return sorted(run.info.run_name for run in runs if run.info.status == "FINISHED")


def due_without_weights() -> list[str] | None:
    """Return the stages that are due in the working directory; None if they need the weights."""
    status = stale.dvc_status()
    reasons = stale.stale_stages(status)
    if not needs_no_weights(status, reasons):
        return None
    return stages_due(status, reasons, (), without_weights=True)
