"""A dataset that a function returns: what it may return, its file, and its errors."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vanishing.datasets import computed, examples
from vanishing.datasets.registry import Dataset
from vanishing.errors import StudyError
from vanishing.params.data import Computed

MODULE = """
import numpy as np
import torch
from sklearn.datasets import load_digits

def digits(test=297):
    images, labels = load_digits(return_X_y=True)
    inputs = torch.from_numpy(images / 8 - 1).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(labels)
    return (inputs[test:], labels[test:]), (inputs[:test], labels[:test])

def tokens():
    inputs = torch.arange(12, dtype=torch.int32).reshape(6, 2)
    return (inputs, torch.tensor([0, 1, 0, 1, 0, 4])), (inputs[:2], torch.tensor([1, 0]))

def split(inputs, labels):
    good = torch.zeros(3, 2), torch.tensor([0, 1, 2])
    return good, (eval(inputs), eval(labels))

def raises():
    raise RuntimeError("no\\nserver")

def one():
    return torch.zeros(3), torch.zeros(3)
"""


@pytest.fixture(autouse=True)
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay out a study with a module of its own, as the working directory."""
    (tmp_path / "own_data.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_data", raising=False)


def data(function: str, checksum: str | None = None, **arguments: Any) -> Computed:
    """Return the section `data` that names a function of the module."""
    return Computed(
        dataset=f"own_data:{function}",
        arguments=arguments,
        checksum=checksum,
        train_examples=1000,
        test_examples=100,
    )


def test_digits_of_scikit_learn_are_written_once_and_read_by_split() -> None:
    checksum = computed.download(Path(), data("digits"))
    assert examples.describe(Path(), data("digits")) == Dataset(classes=10, shape=(1, 8, 8))
    train, test = (examples.load(Path(), split, data("digits")) for split in examples.SPLITS)
    assert train.inputs.shape == (1000, 1, 8, 8)
    assert test.inputs.shape == (100, 1, 8, 8)
    assert (train.inputs.dtype, train.labels.dtype) == (torch.float32, torch.int64)
    assert (train.inputs.min().item(), train.inputs.max().item()) == (-1, 1)
    before = computed.path(Path()).read_bytes()
    assert computed.download(Path(), data("digits", checksum)) == checksum
    assert computed.path(Path()).read_bytes() == before


def test_examples_with_another_checksum_take_no_place() -> None:
    with pytest.raises(StudyError, match=rf"data\.checksum: own_data:digits .* have {'0' * 64}$"):
        computed.download(Path(), data("digits", "0" * 64))
    assert not computed.path(Path()).exists()


def test_integers_stay_integers_and_classes_are_counted_over_both_splits() -> None:
    computed.download(Path(), data("tokens"))
    assert examples.load(Path(), "train", data("tokens")).inputs.dtype == torch.int64
    assert examples.describe(Path(), data("tokens")) == Dataset(classes=5, shape=(2,))


ZEROS, LABELS = "torch.zeros(3, 2)", "torch.tensor([0, 1, 2])"


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (
            "np.zeros((3, 2))",
            LABELS,
            "inputs and labels should be tensors; given a ndarray and a Tensor",
        ),
        (ZEROS, "[0, 1, 2]", "inputs and labels should be tensors; given a Tensor and a list"),
        (ZEROS, "torch.zeros(3)", r"labels should be integers \(examples,\); given torch.float32"),
        (ZEROS, "torch.tensor([[0, 1, 2]])", r"labels should be integers .* \(1, 3\)"),
        ("torch.zeros(3)", LABELS, r"inputs should be \(examples, …\)"),
        (ZEROS, "torch.tensor([0, 1])", "3 inputs but 2 labels; they should be as many"),
        (ZEROS, "torch.tensor([0, 1, -1])", "label -1; labels should be 0 or above"),
        ("torch.full((3, 2), torch.nan)", LABELS, "an input is NaN or infinite"),
        ("torch.zeros(0, 2)", "torch.zeros(0, dtype=torch.int64)", "no examples"),
    ],
)
def test_what_a_split_should_be_is_said_in_one_line(inputs: str, labels: str, message: str) -> None:
    with pytest.raises(StudyError, match=rf"^params\.yaml: data\.dataset: .*: test: {message}"):
        computed.call(data("split", inputs=inputs, labels=labels))


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("digit", {}, r"own_data has no function digit \(did you mean digits\?\)"),
        ("raises", {}, "own_data:raises raised no server$"),
        ("one", {}, r"should return \(\(inputs, labels\), .*; returned a tuple$"),
        ("digits", {"tests": 3}, "unexpected keyword argument 'tests'"),
        (
            "split",
            {"inputs": "torch.zeros(3, 3)", "labels": LABELS},
            r"a training input has the shape \(2,\), a test input \(3,\)",
        ),
    ],
)
def test_a_function_that_fails_or_returns_something_else_is_one_line(
    function: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(StudyError, match=rf"^params\.yaml: data\.dataset: .*{message}") as error:
        computed.call(data(function, **arguments))
    assert "\n" not in str(error.value)


def test_a_missing_or_damaged_file_is_named_with_the_command_that_writes_it() -> None:
    with pytest.raises(StudyError, match=r"examples\.safetensors: cannot be read .*dvc repro down"):
        examples.load(Path(), "train", data("digits"))
    computed.path(Path()).write_bytes(b"none")
    with pytest.raises(StudyError, match=r"cannot be read"):
        examples.describe(Path(), data("digits"))
