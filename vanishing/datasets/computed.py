"""A dataset of the study's own: examples that a function returns, kept in one file."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vanishing.datasets.registry import Dataset
from vanishing.errors import StudyError, in_one_line
from vanishing.files import replacing, sha256
from vanishing.functions import find
from vanishing.params.data import Computed
from vanishing.paths import PARAMS

SPLITS = ("train", "test")
_KEY = f"{PARAMS}: data.dataset"


def path(root: Path) -> Path:
    """Return the path of the file."""
    return root / "examples.safetensors"


def download(root: Path, data: Computed) -> str:
    """Call the function, check what it returns, and write it.

    Returns:
        The file's SHA-256.

    Raises:
        StudyError: If there is no such function, it raises, it returns anything else, or the file
            has another checksum than params.yaml says; a file that is in place stays.
    """
    splits = call(data)
    tensors = {
        f"{split}_{name}": tensor.contiguous()
        for split, pair in zip(SPLITS, splits, strict=True)
        for name, tensor in zip(("inputs", "labels"), pair, strict=True)
    }
    with replacing(path(root)) as temporary:
        save_file(tensors, temporary)
        checksum = sha256(temporary)
        if data.checksum not in {None, checksum}:
            raise StudyError(
                f"{PARAMS}: data.checksum: {data.dataset} returns examples with SHA-256 {checksum};"
                f" they should have {data.checksum}"
            )
    return checksum


def call(data: Computed) -> list[tuple[Tensor, Tensor]]:
    """Call the function with its arguments.

    It returns two pairs, (inputs, labels) of the training and of the test examples. Inputs are
    tensors of any shape with one entry per example, of floating-point numbers, which become
    float32, or of integers, such as tokens. Labels are classes from 0.

    Returns:
        The pairs, on the CPU: inputs float32 or int64, labels int64.

    Raises:
        StudyError: If there is no such function, it raises, or it returns anything else.
    """
    function = find(data.dataset, _KEY)
    try:
        returned = function(**data.arguments)
    except Exception as error:
        raise StudyError(f"{_KEY}: {data.dataset} raised {in_one_line(error)}") from error
    try:
        (train_inputs, train_labels), (test_inputs, test_labels) = returned
    except (TypeError, ValueError):
        raise StudyError(
            f"{_KEY}: {data.dataset} should return ((inputs, labels), (inputs, labels)), of"
            f" training and of test; returned a {type(returned).__name__}"
        ) from None
    splits = [(train_inputs, train_labels), (test_inputs, test_labels)]
    for split, pair in zip(SPLITS, splits, strict=True):
        problem = _problem(*pair)
        if problem:
            raise StudyError(f"{_KEY}: {data.dataset}: {split}: {problem}")
    if train_inputs.shape[1:] != test_inputs.shape[1:]:
        raise StudyError(
            f"{_KEY}: {data.dataset}: a training input has the shape"
            f" {tuple(train_inputs.shape[1:])}, a test input {tuple(test_inputs.shape[1:])}; they"
            " should be the same"
        )
    return [(_converted(inputs), labels.cpu().to(torch.int64)) for inputs, labels in splits]


def _converted(inputs: Tensor) -> Tensor:
    kind = torch.float32 if inputs.is_floating_point() else torch.int64
    return inputs.detach().cpu().to(kind)


def _problem(inputs: Any, labels: Any) -> str | None:
    """Say what is wrong with a split; None where nothing is."""
    if not isinstance(inputs, Tensor) or not isinstance(labels, Tensor):
        kinds = type(inputs).__name__, type(labels).__name__
        return f"inputs and labels should be tensors; given a {kinds[0]} and a {kinds[1]}"
    if labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
        return f"labels should be integers (examples,); given {labels.dtype} {tuple(labels.shape)}"
    if inputs.dim() < 2 or inputs.is_complex():  # noqa: PLR2004 - an example has an axis or more
        return f"inputs should be (examples, …); given {inputs.dtype} {tuple(inputs.shape)}"
    if len(inputs) != len(labels):
        return f"{len(inputs)} inputs but {len(labels)} labels; they should be as many"
    return _problem_of_values(inputs, labels)


def _problem_of_values(inputs: Tensor, labels: Tensor) -> str | None:
    if not len(labels):
        return "no examples"
    if labels.min() < 0:
        return f"label {int(labels.min())}; labels should be 0 or above"
    if inputs.is_floating_point() and not inputs.isfinite().all():
        return "an input is NaN or infinite"
    return None


def describe(root: Path) -> Dataset:
    """Return the number of classes, which is the largest label plus 1, and an input's shape."""
    labels = [read(root, split)[1] for split in SPLITS]
    shape = read(root, "train")[0].shape[1:]
    return Dataset(classes=1 + max(int(part.max()) for part in labels), shape=tuple(shape))


def read(root: Path, split: str) -> tuple[Tensor, Tensor]:
    """Read the inputs and labels of a split, one of SPLITS.

    Returns:
        Both, on the CPU.

    Raises:
        StudyError: If the file is missing or damaged.
    """
    try:
        with safe_open(path(root), "pt") as file:
            return file.get_tensor(f"{split}_inputs"), file.get_tensor(f"{split}_labels")
    except (OSError, SafetensorError) as error:
        raise StudyError(
            f"{path(root)}: cannot be read ({in_one_line(error)}); run dvc repro download"
        ) from None
