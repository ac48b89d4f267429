"""`vanishing explain`: what it prints, what it writes, and its errors of one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support import commands, drawings
from vanishing.judging.factors import average
from vanishing.reporting.factors import draw
from vanishing.results.factors import FACTORS

SOURCE = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 3))

def data():
    return torch.randn(6, 8), torch.randn(6, 3)

def loss(outputs, targets):
    return (outputs - targets).square().mean()

def number():
    return 3
"""


def explain(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run `vanishing explain` in a folder that has a module `explained`."""
    return commands.run(monkeypatch, folder / "explained.py", SOURCE, "explain", *arguments)


def test_it_prints_the_answer_first_and_writes_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["explained:network", "--shape", "8", "--seeds", "2", "--folder", "out"]
    assert explain(monkeypatch, tmp_path, *arguments) == 0
    mean, answer, *_ = capsys.readouterr().out.splitlines()
    assert mean == "Mean of 2 initialisations:"
    assert "decades lost over 3 hops: " in answer
    table = pd.read_parquet(tmp_path / "out/factors.parquet")
    assert table.columns.tolist() == FACTORS.names
    assert table["layer"].tolist() == ["4", "3", "2", "1", "0"]
    assert table["hop"].tolist() == [1, 1, 2, 2, 3]
    assert table["earlier"].tolist() == ["2", "2", "0", "0", "input"]
    assert (table["spread"] > 0).all()
    assert (tmp_path / "out/factors.png").stat().st_size > 0


def test_data_and_loss_of_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    functions = ["--data", "explained:data", "--loss", "explained:loss"]
    assert explain(monkeypatch, tmp_path, "explained:network", *functions, "--seeds", "1") == 0
    assert "weights: Addmm" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explained:network"], "explain: needs inputs: --data module:function"),
        (["explained:network", "--shape", "5"], "explain: explained:network: RuntimeError: mat1"),
        (["explained:number", "--shape", "8"], "explain: explained:number returned a int"),
        (["explained:net", "--shape", "8"], "explain: explained has no function net"),
        (["explained:network", "--data", "explained:number"], "batch: should be (inputs, targets)"),
    ],
)
def test_an_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert explain(monkeypatch, tmp_path, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def made_up(*decades: float) -> pd.DataFrame:
    """Return two hops: weights and an activation, then weights."""
    row = dict.fromkeys(FACTORS.names, np.nan)
    rows = [
        row | {"position": i + 1, "within": 0, "hop": hop, "kind": kind, "note": "", "layer": "a"}
        for i, (hop, kind) in enumerate([(1, "weights"), (1, "activation"), (2, "weights")])
    ]
    names = {"operation": "", "later": "b", "earlier": "a"}
    return pd.DataFrame(rows).assign(decades=decades, **names)


def test_decades_are_averaged_with_their_spread() -> None:
    table = average([made_up(-1, 0, -2), made_up(-3, 0, -2)])
    assert table["decades"].tolist() == [-2, 0, -2]
    assert table["gain"].tolist() == pytest.approx([0.01, 1, 0.01])
    assert table["spread"].tolist() == pytest.approx([2**0.5, 0, 0])


def test_the_line_of_the_figure_is_the_running_sum() -> None:
    (axes,) = draw(made_up(-1, -0.5, 0.25)).axes
    assert drawings.lines(axes)["sum so far"] == [(0, -1.5), (1, -1.25)]
