"""The closing table of `make repro`."""

import shutil
from pathlib import Path

import pytest

from tests.support.study import tiny_params, write_params
from tools import summary
from vanishing.files import read_json
from vanishing.paths import METRICS
from vanishing.tracking import identity


def test_the_table_has_a_row_per_variant(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary.show({})
    printed = capsys.readouterr().out
    for name, metrics in read_json(judged / METRICS).items():
        row = next(line for line in printed.splitlines() if line.split()[:1] == [name])
        assert f"{metrics['test_accuracy']:.1%}" in row
        assert row.rstrip().endswith(metrics["verdict"])
    assert printed.endswith("\nreport: reports/README.md\nMLflow: make ui\n")


def test_a_studys_report_is_named_from_the_repositorys_root(
    judged_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "studies/one"
    shutil.copytree(judged_folder / "reports", folder / "reports")
    write_params(folder, tiny_params() | {"root": "../.."})
    monkeypatch.chdir(folder)
    summary.show({})
    printed = capsys.readouterr().out
    assert "report: studies/one/reports/README.md\n" in printed
    assert printed.endswith("MLflow: make ui STUDY=studies/one\n")


def test_the_charts_address_is_named_where_results_are_mirrored(
    judged_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = identity.experiment(judged_copy)
    (judged_copy / "mlflow.db").touch()
    identity.note_mirrored(experiment, "7", {})
    summary.show({})
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith("MLflow: make ui, http://127.0.0.1:5000/#/experiments/7/runs?")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:80")
    identity.note_mirrored(identity.experiment(judged_copy), "8", {})
    summary.show({})
    *_, line = capsys.readouterr().out.splitlines()
    assert line.startswith("MLflow: http://server:80/#/experiments/8/runs?")
