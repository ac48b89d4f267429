"""A stage fails if its inputs or its code change while it runs."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.study import tiny_params, write_params
from tests.vanishing.pipeline.packages import write_package
from vanishing.errors import StudyError
from vanishing.params.diagnose import Judged
from vanishing.params.load import load
from vanishing.pipeline.fingerprint import fingerprints
from vanishing.pipeline.guard import guard, inputs

PIPELINE = """
stages:
  toy:
    matrix:
      variant: ${variants}
      seed: ${train.seeds}
    cmd: python -m stages toy ${item.variant} ${item.seed}
    deps:
      - ${root}/input
      - data/fingerprints/variants/${item.variant}
      - models/${item.variant}/seed-${item.seed}
    params:
      - train.batch_size
      - variants.${item.variant}
    outs:
      - output
  check:
    cmd: python -m stages check
    deps:
      - input
    params:
      - params.yaml:
"""
ACTIVATIONS = "ACTIVATIONS = {'relu': f}\ndef f(z): return z\ndef g(): ...\n"


def toy_params() -> dict[str, Any]:
    """Return parameters whose variants all have the one activation of the made-up code."""
    content = tiny_params()
    for variant in content["variants"].values():
        variant["activation"] = "relu"
    return content


@pytest.fixture
def toy(workspace: Path) -> Path:
    """Give a study with a pipeline and code of its own, as the working directory."""
    write_params(workspace, toy_params())
    write_package(
        workspace,
        {
            "dvc.yaml": PIPELINE,
            "input/folder/file": "a",
            "models/relu/seed-0/epoch-000.safetensors": "weights",
            "stages/__init__.py": "",
            "vanishing/activations.py": ACTIVATIONS,
            "vanishing/judging/article.py": "CLAIMS = ()\n",
            "vanishing/initialisers.py": "INITIALISERS = {'default': 1}\n",
        },
    )
    for path, text in fingerprints(load(Judged)).items():
        write_package(workspace, {str(path): text})
    return workspace


def edit_params(section: str, **values: Any) -> None:
    """Write params.yaml with other values in a section."""
    content = toy_params()
    target = content
    for key in section.split("."):
        target = target[key]
    target |= values
    write_params(Path(), content)


def write(path: str, text: str) -> None:
    """Write a file of the study."""
    write_package(Path(), {path: text})


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (partial(edit_params, "train", batch_size=5), "params.yaml: train.batch_size"),
        (partial(edit_params, "variants.relu", width=9), "params.yaml: variants.relu"),
        (partial(write, "input/folder/file", "bc"), "input/folder/file"),
        (partial(write, "input/more", "b"), "input/more"),
        (
            partial(write, "models/relu/seed-0/epoch-000.safetensors", "other weights"),
            "models/relu/seed-0/epoch-000.safetensors",
        ),
        (
            partial(
                write, "vanishing/activations.py", ACTIVATIONS.replace("return z", "return -z")
            ),
            "vanishing.activations.f",
        ),
    ],
)
def test_an_input_that_changes_while_the_stage_runs_fails_it(
    edit: Callable[[], None], names: str
) -> None:
    message = f"{names}: changed while toy relu 0 ran, so its results are not kept; run it again"
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        guard("toy", ["relu", "0"], edit)


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    "edit",
    [
        partial(edit_params, "train", epochs=5),
        partial(edit_params, "variants.sigmoid", width=9),
        partial(write, "models/relu/seed-1/epoch-000.safetensors", "weights"),
        partial(write, "input/__pycache__/file.pyc", "code"),
        partial(write, "output", "x"),
        partial(write, "vanishing/activations.py", f"# A remark\n{ACTIVATIONS}"),
        partial(write, "vanishing/activations.py", f"{ACTIVATIONS}def unused(): ...\n"),
    ],
)
def test_a_change_of_anything_else_does_not(edit: Callable[[], None]) -> None:
    guard("toy", ["relu", "0"], edit)


@pytest.mark.usefixtures("toy")
def test_a_stage_that_depends_on_all_of_params_notices_every_change() -> None:
    with pytest.raises(StudyError, match=r"^params\.yaml: changed while check ran"):
        guard("check", [], partial(edit_params, "train", epochs=5))


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("text", ["train: [", "", "- a list"])
def test_parameters_that_cannot_be_read_any_more_are_one_line(text: str) -> None:
    with pytest.raises(StudyError, match=r"^params\.yaml: cannot be read: .") as error:
        guard("toy", ["relu", "0"], partial(write, "params.yaml", text))
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("toy")
def test_code_that_is_not_that_of_the_fingerprint_runs_nothing() -> None:
    names = "abcdefg"
    functions = "".join(f"def {name}(): return 1\n" for name in names)
    calls = ", ".join(f"{name}()" for name in names)
    write("vanishing/activations.py", f"ACTIVATIONS = {{'relu': [{calls}]}}\n{functions}")
    listed = ", ".join(f"vanishing.activations.{name}" for name in "abcd")
    message = (
        f"vanishing.activations.ACTIVATIONS[relu], {listed} and 3 more:"
        " edited since `fingerprint` ran; run: make repro"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        guard("toy", ["relu", "0"], partial(pytest.fail, "the stage ran"))


@pytest.mark.usefixtures("toy")
def test_the_inputs_of_a_stage_are_those_of_dvc_yaml_for_its_arguments() -> None:
    assert list(inputs("toy", ["relu", "0"])) == [
        "input/folder/file",
        "data/fingerprints/variants/relu",
        "models/relu/seed-0/epoch-000.safetensors",
        "params.yaml: train.batch_size",
        "params.yaml: variants.relu",
    ]
