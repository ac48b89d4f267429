"""The closing table of `make repro`."""

import shutil
from pathlib import Path

import pytest

from tests.support.study import tiny_params, write_params
from tools import summary
from vanishing.files import read_json
from vanishing.paths import METRICS


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
    assert "report: studies/one/reports/README.md\n" in capsys.readouterr().out
