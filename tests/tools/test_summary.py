"""What `make repro` closes with."""

from pathlib import Path

from tools.summary import summary
from vanishing.files import read_json


def test_summary_names_each_variant_and_where_to_read_on(study: Path) -> None:
    printed = summary(study / "reports")
    for name, values in read_json(study / "reports/metrics.json").items():
        row = next(line for line in printed.splitlines() if line.split()[:1] == [name])
        assert f"{values['test_accuracy']:.1%}" in row
        assert row.rstrip().endswith(values["verdict"])
    assert f"report: {study / 'reports/README.md'}" in printed
    assert "make ui" in printed
