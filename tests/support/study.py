"""A tiny study: real digits, few of them, and parameters that take seconds."""

import gzip
import hashlib
import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.copies import locked_output
from vanishing.datasets.idx import FILES

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "fixtures" / "digits"

BASELINE: dict[str, Any] = {
    "activation": "sigmoid",
    "depth": 3,
    "width": 16,
    "init": "default",
    "normalization": "none",
    "skip": False,
}


def digit_checksums() -> dict[str, str]:
    """Return {file name: SHA-256} of the fixture's files, unpacked."""
    return {
        name: hashlib.sha256(gzip.decompress((DIGITS / f"{name}.gz").read_bytes())).hexdigest()
        for names in FILES.values()
        for name in names
    }


def tiny_params() -> dict[str, Any]:
    """Return the content of a params.yaml for seconds: two epochs, three variants."""
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    content["data"]["checksums"] = digit_checksums()
    content["train"] |= {
        "epochs": 2,
        "snapshots": [0, 1, "last"],
        "trace_every": 10,
        "device": "cpu",
    }
    content["extract"] |= {
        "probe_size": 200,
        "init_probe_size": 100,
        "init_seeds": 3,
        "sweep_depths": [1, 2, 4],
        "sweep_seeds": 2,
    }
    content["expect"] = {}
    content["repeated_by"] = "reports/claims.json"
    content["variants"] = {
        "sigmoid": dict(BASELINE),
        "relu": BASELINE | {"activation": "relu", "compare_to": "sigmoid"},
        "sigmoid-batchnorm": BASELINE | {"normalization": "batch", "compare_to": "sigmoid"},
    }
    return content


def write_params(folder: Path, content: dict[str, Any]) -> None:
    """Write params.yaml into `folder`."""
    YAML().dump(content, folder / "params.yaml")  # keeps the order of keys


def write_lock(folder: Path) -> None:
    """Write a dvc.lock of what a study left in `folder`, without dependencies."""
    outs: dict[str, list[str]] = {
        "diagnose": [f"reports/{name}.json" for name in ("metrics", "health", "claims", "runs")],
        "render": ["reports/figures"],
        "report": ["reports/README.md", "reports/index.html"],
    }
    for run_folder in sorted((folder / "models").glob("*/seed-*")):
        variant, seed = run_folder.parent.name, run_folder.name.removeprefix("seed-")
        run_path = f"{variant}/{run_folder.name}"
        outs[f"train@{variant}-{seed}"] = [f"models/{run_path}", f"data/training/{run_path}"]
        outs[f"extract@{variant}-{seed}"] = [f"data/statistics/{run_path}"]
        outs[f"initialise@{variant}"] = [f"data/initialisation/{variant}"]
    stages = {
        stage: {
            "cmd": f"run {stage}",
            "outs": [locked_output(folder, Path(path)) for path in paths],
        }
        for stage, paths in outs.items()
    }
    YAML().dump({"schema": "2.0", "stages": stages}, folder / "dvc.lock")


def run(stage: str, *arguments: str) -> None:
    """Call a stage in the working directory."""
    importlib.import_module(f"stages.{stage}").main(list(arguments))


def link_code(folder: Path) -> None:
    """Link to the code from a study's folder, which is then its own root."""
    for name in ("dvc.yaml", "stages", "vanishing"):
        (folder / name).symlink_to(ROOT / name)


def prepare_training() -> None:
    """Run the stages that `train` and `initialise` depend on, in the working directory."""
    link_code(Path())
    for stage in ("fingerprint", "download", "validate"):
        run(stage)


def run_stages(variants: Sequence[str], seeds: Sequence[int] = (0,)) -> None:
    """Call every stage up to `diagnose` in the working directory."""
    prepare_training()
    for variant in variants:
        for seed in map(str, seeds):
            run("train", variant, seed)
            run("extract", variant, seed)
        run("initialise", variant)
    run("diagnose")


def copy_study(source: Path, target: Path) -> None:
    """Copy what the stages of a study wrote, and link to the code."""
    for name in ("data", "models", "reports", ".study"):
        if (source / name).exists():
            shutil.copytree(source / name, target / name)
    link_code(target)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return {relative path: content} of every file in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
