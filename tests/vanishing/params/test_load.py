"""params.yaml: the values that are accepted, and the message for any other."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.support.study import ROOT, tiny_params, write_params
from vanishing.errors import StudyError
from vanishing.params.diagnose import Params
from vanishing.params.load import load
from vanishing.params.study import Study


def load_with(folder: Path, keys: str, value: Any) -> Params:
    """Load the tiny parameters with one of them set, or removed where `value` is None."""
    content = deepcopy(tiny_params())
    *parents, last = keys.split(".")
    inner = content
    for key in parents:
        inner = inner[key]
    inner[last] = value
    if value is None:
        del inner[last]
    write_params(folder, content)
    return load(Params, folder / "params.yaml")


def test_shipped_parameters_are_valid_and_hold_the_study() -> None:
    shipped = load(Params, ROOT / "params.yaml")
    assert shipped.baseline == "sigmoid"
    assert shipped.training("sigmoid").snapshots == (0, 1, 2, 5, 10)
    assert len(shipped.variants) == 11


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        ("train.epoch", 3, ["train.epoch: unknown key", "did you mean epochs?", "batch_size"]),
        ("train.epochs", None, ["train.epochs: missing"]),
        ("train.epochs", 0, ["train.epochs", "greater than 0", "given 0"]),
        ("train.epochs", "3", ["train.epochs", "integer", "given '3'"]),
        ("train.epochs", True, ["train.epochs", "integer", "given True"]),
        ("train.snapshots", [0, 2], ["train.snapshots", "end with last; given [0, 2]"]),
        ("train.snapshots", [1, "last"], ["train.snapshots", "begin with 0"]),
        ("train.snapshots", [], ["train.snapshots", "begin with 0", "given []"]),
        ("train.snapshots", "last", ["train.snapshots", "tuple", "given 'last'"]),
        ("train.snapshots", [0, 0.5, "last"], ["train.snapshots", "integer", "given 0.5"]),
        ("train.seeds", [1, 1], ["train.seeds", "strictly increasing"]),
        ("train.seeds", [], ["train.seeds", "at least 1"]),
        ("train.optimizer.momentum", 1.0, ["train.optimizer.momentum", "less than 1"]),
        (
            "train.optimizer.learning_rate",
            float("nan"),
            ["train.optimizer.learning_rate", "finite", "given nan"],
        ),
        ("train.learning_rate", 0.1, ["train.learning_rate: unknown key", "optimizer"]),
        ("train.optimizer.name", "adm", ["train.optimizer", "sgd, adam, adamw, rmsprop and adag"]),
        ("train.optimizer", {}, ["train.optimizer", "have a name", "given {}"]),
        ("train.optimizer.betas", 1, ["train.optimizer.betas: unknown key", "nesterov"]),
        ("train.clip_norm", 0, ["train.clip_norm", "none or a number greater than 0; given 0"]),
        ("train.clip_norm", "off", ["train.clip_norm", "none or a number", "given 'off'"]),
        ("train.precision", "float16", ["train.precision", "'float32' or 'bfloat16'"]),
        ("variants.relu.optimizer", {"name": "adam"}, ["relu.optimizer.learning_rate: missing"]),
        (
            "variants.relu.optimizer",
            {"name": "adam", "learning_rate": 0.1, "beta": 1},
            ["variants.relu.optimizer.beta: unknown key (did you mean betas?)"],
        ),
        ("variants.relu.epochs", 0, ["variants.relu.epochs", "greater than 0"]),
        ("variants.relu.seeds", [1], ["variants.relu.seeds: unknown key", "batch_size, epochs"]),
        ("variants.relu.network", "a:b", ["variants.relu.depth: unknown key", "arguments"]),
        ("variants.sigmoid-batchnorm.batch_size", 1, ["batchnorm.normalization", "2 or more"]),
        ("data.dataset", "a:b", ["data.mean: unknown key", "arguments, checksum"]),
        ("data.dataset", "Mnist", ["data.dataset", "'MNIST', 'FashionMNIST' or 'KMNIST'"]),
        ("train.device", "gpu", ["train.device", "'auto', 'cpu' or 'cuda'", "given 'gpu'"]),
        ("data.checksums.t10k-images-idx3-ubyte", "12", ["t10k-images-idx3-ubyte", "pattern"]),
        ("variants", {}, ["variants", "at least 1"]),
        ("variants.relu.width", -5, ["variants.relu.width", "greater than 0", "given -5"]),
        ("variants.relu.activation", "rleu", ["variants.relu.activation", "relu", "given 'rleu'"]),
        ("variants.relu.std", 1.0, ["variants.relu.std", "init: normal"]),
        ("variants.relu.init", "normal", ["variants.relu.std", "init: normal"]),
        ("variants.relu.compare_to", "sigmod", ["relu.compare_to", "did you mean sigmoid?"]),
        ("variants.relu.compare_to", "relu", ["relu.compare_to", "another variant"]),
        ("variants.sigmoid.compare_to", "relu", ["variants", "no compare_to"]),
        ("variants.relu.network", "nets", ["variants.relu.network", "pattern", "given 'nets'"]),
        ("variants.relu.network", "../x:f", ["variants.relu.network", "pattern"]),
        ("train.batch_size", 1, ["sigmoid-batchnorm.normalization", "of 2 or more; given 1"]),
        ("root", "/", ["root", "pattern", "given '/'"]),
        ("root", "../x", ["root", "pattern"]),
        ("code", "/nets.py", ["code", "pattern"]),
        ("code", "$(touch x)", ["code", "pattern"]),
        ("variants.~/x", {}, ["variants.~/x", "pattern"]),
        ("variants.relu; rm -rf x", {}, ["variants.relu; rm -rf x", "pattern"]),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(
    tmp_path: Path, keys: str, value: Any, words: list[str]
) -> None:
    with pytest.raises(StudyError) as error:
        load_with(tmp_path, keys, value)
    lines = [line for line in str(error.value).splitlines() if words[0] in line]
    assert lines, str(error.value)
    assert lines[0].startswith(str(tmp_path / "params.yaml"))
    assert [word for word in words if word not in lines[0]] == []


def test_a_value_that_variants_inherit_is_named_once(tmp_path: Path) -> None:
    content = tiny_params()
    for variant in content["variants"].values():
        variant["width"] = 0
    write_params(tmp_path, content)
    with pytest.raises(StudyError) as error:
        load(Params, tmp_path / "params.yaml")
    assert str(error.value).count("\n") == 0
    assert "variants.sigmoid.width" in str(error.value)
    assert "2 variants that inherit it" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file: Input should be a mapping"),
        ("[1, 2]", "the file: Input should be a mapping"),
        ("a: b: c", "not YAML: "),
        ("a: [", "not YAML: "),
        ("\t- a", "not YAML: "),
        ("\x00", "not YAML: "),
        ("train: {}\ntrain: {}", 'not YAML: .*found duplicate key "train"'),
        ("train: !!python/object:os.system {}", "not YAML: "),
        ("!!python/object/apply:os.system ['touch x']", "not YAML: "),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(
    workspace: Path, text: str, message: str
) -> None:
    (workspace / "params.yaml").write_text(text)
    with pytest.raises(StudyError, match=rf"^params\.yaml: {message}") as error:
        load(Params)
    assert "\n" not in str(error.value)
    assert [path.name for path in workspace.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
        "a: &a {b: *a}\n",
        "a: " + "[\n" * 5_000 + "]" * 5_000,
    ],
    ids=["bomb", "cycle", "depth"],
)
def test_a_file_that_aliases_or_brackets_blow_up_is_refused(workspace: Path, text: str) -> None:
    path = workspace / "params.yaml"
    path.write_text(text + path.read_text())
    with pytest.raises(StudyError, match=r"params\.yaml: nests too deeply, or its aliases"):
        load(Params)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"params\.yaml: No such file"):
        load(Params, tmp_path / "params.yaml")


def test_a_stage_reads_its_own_sections_and_no_others(tmp_path: Path) -> None:
    content = tiny_params() | {"diagnose": "nonsense", "extract": {}}
    write_params(tmp_path, content)
    assert load(Study, tmp_path / "params.yaml").train.epochs == 2
    with pytest.raises(StudyError, match=r"extract\.probe_size: missing"):
        load(Params, tmp_path / "params.yaml")
