"""The command `vanishing`: its subcommands, its errors and its version."""

import math
import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from vanishing import cli
from vanishing.version import __version__


def vanishing(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command with arguments; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["vanishing", *arguments])
    return cli.main()


def test_predict_prints_what_theory_says_beside_the_measurements(
    study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vanishing(monkeypatch, "predict", "sigmoid") == 0
    printed = capsys.readouterr().out
    (attenuation,) = re.findall(r"attenuation at 3 hidden layers: (\S+)", printed)
    (path,) = study.glob("data/*/sigmoid/theory.parquet")
    theory = pd.read_parquet(path).query("quantity == 'attenuation' and depth == 3")
    assert float(attenuation) == pytest.approx(theory["predicted"].item(), rel=0.05)  # other images
    assert "below 1e-07, your threshold: from" in printed
    rows = [line.split() for line in printed.splitlines() if line.strip()[:1].isdigit()]
    (scale,) = re.findall(r"of the last hidden layer: (\S+) layers", printed)
    assert float(scale) == pytest.approx(-1 / math.log(float(rows[-1][2])), rel=0.01)


@pytest.mark.usefixtures("study")
def test_predict_takes_a_threshold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert vanishing(monkeypatch, "predict", "sigmoid", "--threshold", "0.01") == 0
    assert "below 0.01, your threshold: from" in capsys.readouterr().out


@pytest.mark.usefixtures("study")
@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("sigmoid-batchnorm", "no theory available: batch normalization"),
        ("sigmiod", "did you mean sigmoid?"),
    ],
)
def test_an_error_is_one_line(
    variant: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert vanishing(monkeypatch, "predict", variant) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "inf", "x"])
def test_a_threshold_that_is_not_above_zero_is_refused(
    threshold: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        vanishing(monkeypatch, "predict", "sigmoid", "--threshold", threshold)
    assert "should be a number above 0" in capsys.readouterr().err


def test_the_version_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        vanishing(monkeypatch, "--version")
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"vanishing {__version__}\n"
