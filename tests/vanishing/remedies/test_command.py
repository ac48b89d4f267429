"""`vanishing remedy`: what it prints, and its errors of one line."""

from pathlib import Path

import pytest

from tests.support import commands

SOURCE = """
import torch
from torch import nn
from torch.optim import SGD

def network():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

def data():
    inputs = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
    return inputs, inputs[:, :3].argmax(1)

def optimizer(parameters):
    return SGD(parameters, lr=1e-6)

def number():
    return 3

def broken():
    raise KeyError("no such file")
"""
USUAL = ("remedied:network", "--data", "remedied:data")


def remedy(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Run `vanishing remedy` in a folder that has a module `remedied`."""
    return commands.run(monkeypatch, folder / "remedied.py", SOURCE, "remedy", *arguments)


def test_a_healthy_training_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert remedy(monkeypatch, tmp_path, *USUAL) == 0
    assert capsys.readouterr().out.startswith("It learns as it is: leave it alone.")
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == ["remedied.py"]


def test_the_change_comes_first_and_what_was_tried_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*USUAL, "--optimizer", "remedied:optimizer", "--steps", "1000"]
    assert remedy(monkeypatch, tmp_path, *arguments) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith("Adam is expected to heal it: after 200 steps the score is")
    assert any(line.startswith("as it is") for line in lines)
    assert lines[-1].startswith("Cost: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("remedied:absent", "--data", "remedied:data"), "remedied has no function absent"),
        (("remedied:network", "--data", "remedied:broken"), "KeyError: 'no such file'"),
        (("remedied:broken", "--data", "remedied:data"), "remedied:broken: KeyError"),
        (("remedied:number", "--data", "remedied:data"), "should return an nn.Module"),
        (("remedied:network", "--data", "remedied:number"), "should return (inputs, targets)"),
    ],
)
def test_errors_are_one_line_that_names_the_function(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert remedy(monkeypatch, tmp_path, *arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
