"""dvc.yaml against the code: names, commands, fingerprints, and the parameters of each stage."""

import contextlib
import shutil
from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from tests.support.execution import Calls, find_definitions, find_references, watch_calls
from tests.support.study import (
    ROOT,
    link_code,
    read_files,
    run,
    tiny_params,
    write_lock,
    write_params,
)
from vanishing.paths import EFFECTS, IDENTITIES, MODELS, TEMPLATE
from vanishing.pipeline.fingerprint import BY_VARIANT

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
CODE = ("stages", "vanishing", "dvc.yaml")  # links to the repository
MATRIX = {"variant": "relu", "seed": "0"}

# Another valid value for every leaf of params.yaml, but for `root` and `code`, which say where the
# study is. Sections that a stage depends on as a whole are one entry.
OTHER_VALUES: dict[str, Any] = {
    "claims": "vanishing/judging/effects.py",
    "data.dataset": "KMNIST",
    "data.mean": 0.25,
    "data.std": 0.25,
    "data.train_examples": 600,
    "data.test_examples": 300,
    "data.checksums": dict.fromkeys(tiny_params()["data"]["checksums"], "0" * 64),
    "train.epochs": 3,
    "train.batch_size": 50,
    "train.optimizer": {"name": "adam", "learning_rate": 0.5},
    "train.clip_norm": 1.0,
    "train.precision": "bfloat16",
    "train.seeds": [0, 5],
    "train.snapshots": [0, "last"],
    "train.evaluation_size": 50,
    "train.trace_every": 7,
    "train.device": "auto",
    "extract.probe_size": 150,
    "extract.batch_size": 30,
    "extract.init_probe_size": 50,
    "extract.init_seeds": 2,
    "extract.sweep_depths": [1, 5],
    "extract.sweep_seeds": 1,
    "diagnose.vanishing_gradient.mean_abs_below": 0.5,
    "diagnose.vanishing_attenuation.below": 0.5,
    "diagnose.exploding_attenuation.above": 1.5,
    "diagnose.exploding_tensor.nonfinite_above": 0.5,
    "diagnose.nonfinite_loss.count_above": 1,
    "diagnose.poor_initialisation": {
        "variance_ratio_above": 1.5,
        "gradient_range_below": 0.5,
        "first_steps": 3,
        "stalled_from": 2,
    },
    "diagnose.saturated_activation": {"unit_above": 0.5, "layer_above": 0.1},
    "diagnose.dead_relu": {"unit_below": 0.5, "layer_above": 0.1},
    "diagnose.update_ratio": {"above": 0.1, "below": 0.01},
    "diagnose.all_zero.share_from": 0.1,
    "diagnose.unchanged_tensor": {"ratio_below": 0.1, "steps": 2},
    "diagnose.loss_not_decreasing": {"share_below": 0.1, "steps": 3},
    "diagnose.overfit.ratio_above": 0.01,
    "diagnose.overtraining": {"train_patience": 1, "test_patience": 1, "delta": 0.5},
    "diagnose.at_chance.margin": 0.5,
    "expect": {"relu": {"vanishing_gradient": True}},
    "remedies": ["sigmoid"],
    "repeated_by": "studies/more/claims.json",
    "variants.sigmoid.width": 12,
    "variants.sigmoid-batchnorm.depth": 1,
}


def leaves(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the path of every leaf of nested mappings."""
    if not isinstance(content, dict):
        return [path]
    return [leaf for key, inner in content.items() for leaf in leaves(inner, (*path, key))]


def arguments(stage: str) -> list[str]:
    """Return the arguments of a stage's command for one item of its matrix."""
    return [MATRIX[key] for key in PIPELINE[stage].get("matrix", ())]


def fill_in(text: str) -> str:
    """Fill in the template of dvc.yaml for one item of the matrix, in the root study."""
    for key, value in MATRIX.items():
        text = text.replace(f"${{item.{key}}}", value)
    return text.replace("${root}/", "")


def test_each_stage_is_a_module_and_each_module_a_stage() -> None:
    modules = {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")}
    assert set(PIPELINE) == modules


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_command_runs_the_module_with_the_matrix(stage: str) -> None:
    items = [f"${{item.{key}}}" for key in PIPELINE[stage].get("matrix", ())]
    assert PIPELINE[stage]["cmd"] == " ".join(["python -m stages", stage, *items])


@pytest.mark.parametrize("stage", [stage for stage in PIPELINE if stage != "fingerprint"])
def test_code_is_a_dependency_by_its_fingerprint_alone(stage: str) -> None:
    code = [name for name in PIPELINE[stage]["deps"] if name.startswith("data/fingerprints")]
    by_variant = ["data/fingerprints/variants/${item.variant}"] if stage in BY_VARIANT else []
    if stage == "validate":  # which tries the networks of all of them
        by_variant = ["data/fingerprints/variants"]
    assert code == [f"data/fingerprints/{stage}", *by_variant]
    texts = [name for name in PIPELINE[stage]["deps"] if name.startswith("${root}")]
    of_report = ["vanishing/explorer/assets", str(EFFECTS), str(TEMPLATE)]
    assert texts == ([f"${{root}}/{text}" for text in of_report] if stage == "report" else [])


def test_the_stages_of_one_variant_are_those_with_a_matrix() -> None:
    assert {stage for stage, entry in PIPELINE.items() if "matrix" in entry} == set(BY_VARIANT)


def test_every_leaf_of_params_yaml_has_another_value_here() -> None:
    shipped = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    covered = {"root", "code", "variants", *(key for key in OTHER_VALUES if "variants" not in key)}
    for leaf in leaves(shipped):
        prefixes = {".".join(leaf[:length]) for length in range(1, len(leaf) + 1)}
        assert prefixes & covered, ".".join(leaf)


def edit_all_but(declared: list[Any]) -> dict[str, Any]:
    """Return the tiny parameters with another value wherever a stage declares no parameter."""
    content = deepcopy(tiny_params())
    if any(isinstance(name, dict) for name in declared):  # {params.yaml: null}, all of it
        return content
    named = [fill_in(name) for name in declared]
    for key, value in OTHER_VALUES.items():
        overlaps = any(f"{a}.".startswith(f"{b}.") for n in named for a, b in ((n, key), (key, n)))
        if not overlaps:
            *path, last = key.split(".")
            section = content
            for part in path:
                section = section[part]
            section[last] = value
    return content


class StageRun(NamedTuple):
    """A stage that ran on its declared dependencies, with every other parameter changed.

    Attributes:
        stage: Its name.
        expected: {path: content} of its outputs in the finished study.
        written: {path: content} of what it wrote.
        calls: The functions of this repository that it called.
    """

    stage: str
    expected: dict[str, bytes]
    written: dict[str, bytes]
    calls: Calls


@pytest.fixture(scope="module", params=PIPELINE)
def stage_run(
    request: pytest.FixtureRequest, study_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> StageRun:
    """Run each stage in a folder that holds nothing but its declared dependencies."""
    stage: str = request.param
    entry, folder = PIPELINE[stage], tmp_path_factory.mktemp(stage)
    finished = read_files(study_folder)
    link_code(folder)
    for dependency in map(fill_in, entry["deps"]):
        if not is_in(dependency, (*CODE, "${claims}", "${code}", "${repeated_by}", "${root}")):
            copy(study_folder / dependency, folder / dependency)
    outputs = [
        fill_in(output if isinstance(output, str) else next(iter(output)))
        for key in ("outs", "metrics", "plots")
        for output in entry.get(key, [])
    ]
    expected = {path: content for path, content in finished.items() if is_in(path, outputs)}
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nothing listens there
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        if stage == "track":  # has not run in the finished study
            write_lock_of(study_folder, folder)
            run(stage)
            expected = {str(IDENTITIES): IDENTITIES.read_bytes()}
            IDENTITIES.unlink()
        if stage == "remedy":  # nobody asked for one in the finished study
            write_params(folder, tiny_params())
            run(stage, *arguments(stage))
            expected = {path: Path(path).read_bytes() for path in outputs}
            shutil.rmtree(Path(outputs[0]).parent)
        before = read_files(folder)
        write_params(folder, edit_all_but(entry.get("params", [])))
        with watch_calls("stages", "vanishing") as calls:
            run(stage, *arguments(stage))
    written = {
        path: content
        for path, content in read_files(folder).items()
        if path not in {*before, "params.yaml"} and not is_in(path, CODE)
    }
    return StageRun(stage, expected, written, calls)


def is_in(path: str, folders: Iterable[str]) -> bool:
    """Return whether a path is one of these files or is in one of these folders."""
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)


def write_lock_of(study: Path, folder: Path) -> None:
    """Write the dvc.lock of a study, with its parameters, into another folder."""
    write_params(folder, tiny_params())
    shutil.copytree(study / MODELS, folder / MODELS)
    write_lock(folder)
    shutil.rmtree(folder / MODELS)


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


@pytest.mark.slow
def test_outputs_depend_on_the_declared_files_and_parameters_alone(stage_run: StageRun) -> None:
    state = {path for path in stage_run.written if is_in(path, [".study"])}
    outputs = stage_run.written.keys() - (state - stage_run.expected.keys())
    assert {path: stage_run.written[path] for path in outputs} == stage_run.expected


@pytest.mark.slow
def test_the_code_that_runs_is_in_the_fingerprints(stage_run: StageRun, study_folder: Path) -> None:
    if stage_run.stage == "fingerprint":
        return
    deps = [name for name in PIPELINE[stage_run.stage]["deps"] if "data/fingerprints" in name]
    paths = [study_folder / fill_in(name) for name in deps]
    texts = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    lines = "".join(file.read_text() for file in texts).splitlines()
    names = {line.partition(" ")[0] for line in lines}
    names |= {name.partition("[")[0] for name in names}  # REGISTRY[ENTRY] stands for REGISTRY
    used = find_definitions(stage_run.calls) | find_references(stage_run.calls)
    if stage_run.stage != "track":  # the journal is for MLflow, which no file depends on
        used = {name for name in used if not name.startswith("vanishing.tracking.")}
        used -= {"vanishing.paths.journal", "vanishing.paths.JOURNALS"}
    assert used - names == set()
    assert len(used) > 10
