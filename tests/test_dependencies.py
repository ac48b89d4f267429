"""dvc.yaml against the code: names, commands, fingerprints, and the parameters of each stage."""

import copy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.study import (
    ROOT,
    copy_study,
    read_files,
    run,
    tiny_params,
    write_lock,
    write_params,
)
from vanishing.paths import EFFECTS, TEMPLATE
from vanishing.pipeline.fingerprint import BY_VARIANT

PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
MATRIX = {"variant": "relu", "seed": "0"}

# Another valid value for every leaf of params.yaml, but for `root` and `code`, which say where the
# study is. Sections that a stage depends on as a whole are one entry.
OTHER_VALUES: dict[str, Any] = {
    "data.dataset": "KMNIST",
    "data.mean": 0.25,
    "data.std": 0.25,
    "data.train_examples": 600,
    "data.test_examples": 300,
    "data.checksums": dict.fromkeys(tiny_params()["data"]["checksums"], "0" * 64),
    "train.epochs": 3,
    "train.batch_size": 50,
    "train.learning_rate": 0.5,
    "train.momentum": 0.5,
    "train.seeds": [0, 5],
    "train.snapshots": [0, 3],
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
    assert code == [f"data/fingerprints/{stage}", *by_variant]
    texts = [name for name in PIPELINE[stage]["deps"] if name.startswith("${root}")]
    assert texts == ([f"${{root}}/{EFFECTS}", f"${{root}}/{TEMPLATE}"] if stage == "report" else [])


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
    content = copy.deepcopy(tiny_params())
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


@pytest.mark.slow
@pytest.mark.parametrize("stage", [stage for stage in PIPELINE if stage != "validate"])
def test_outputs_depend_on_the_declared_parameters_alone(
    stage: str, study_folder: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    copy_study(study_folder, workspace)
    if stage == "track":
        write_lock(workspace)
        run("track")
    entry = PIPELINE[stage]
    outs = [out for key in ("outs", "metrics", "plots") for out in entry.get(key, [])]
    outs = [out if isinstance(out, str) else next(iter(out)) for out in outs]
    paths = [workspace / fill_in(out) for out in outs]
    before = [read_files(path) if path.is_dir() else path.read_bytes() for path in paths]
    write_params(workspace, edit_all_but(entry.get("params", [])))
    run(stage, *arguments(stage))
    after = [read_files(path) if path.is_dir() else path.read_bytes() for path in paths]
    assert after == before
    assert all(before)
