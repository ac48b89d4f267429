"""A tiny study: real digits, few of them, and parameters that take seconds."""

import gzip
import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

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
    names = [name for pair in FILES.values() for name in pair]
    return {
        n: hashlib.sha256(gzip.decompress((DIGITS / f"{n}.gz").read_bytes())).hexdigest()
        for n in names
    }


def tiny_params() -> dict[str, Any]:
    """Return params.yaml's content, cut down to seconds: two epochs, three variants."""
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    content["data"]["checksums"] = digit_checksums()
    content["train"] |= {"epochs": 2, "snapshots": [0, 1, 2], "trace_every": 10, "device": "cpu"}
    content["extract"] |= {
        "probe_size": 200,
        "init_probe_size": 100,
        "init_seeds": 3,
        "sweep_depths": [1, 2, 4],
    }
    content["extract"] |= {"sweep_seeds": 2}
    content["expect"] = {}
    content["variants"] = {
        "sigmoid": dict(BASELINE),
        "relu": BASELINE | {"activation": "relu", "compare_to": "sigmoid"},
        "sigmoid-batchnorm": BASELINE | {"normalization": "batch", "compare_to": "sigmoid"},
    }
    return content


def write_params(folder: Path, content: dict[str, Any]) -> None:
    """Write params.yaml into `folder`."""
    YAML().dump(content, folder / "params.yaml")  # which keeps the order of keys


def write_lock(folder: Path) -> None:
    """Write a dvc.lock of what a study left in `folder`, with hashes that are not DVC's."""
    outs: dict[str, list[str]] = {
        "diagnose": ["reports/metrics.json", "reports/health.json", "reports/claims.json"],
        "render": ["reports/figures"],
        "report": ["reports/README.md"],
    }
    for models in sorted((folder / "models").iterdir()):
        outs[f"train@{models.name}"] = [f"models/{models.name}"]
        outs[f"extract@{models.name}"] = [f"data/statistics/{models.name}"]
    stages = {
        stage: {"cmd": f"run {stage}", "outs": [_locked(folder, path) for path in paths]}
        for stage, paths in outs.items()
    }
    YAML().dump({"schema": "2.0", "stages": stages}, folder / "dvc.lock")


def _locked(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    content = b"".join(p.name.encode() + p.read_bytes() for p in files)
    return {
        "path": name,
        "md5": hashlib.sha256(content).hexdigest()[:32],
        "size": sum(p.stat().st_size for p in files),
    }


def run(stage: str, *arguments: str) -> None:
    """Call a stage in the working directory."""
    importlib.import_module(f"stages.{stage}").main(list(arguments))


def take_fingerprints() -> None:
    """Put the code beside params.yaml, by links, and take its fingerprints."""
    for name in ("dvc.yaml", "stages", "vanishing"):
        if not Path(name).exists():
            Path(name).symlink_to(ROOT / name)
    run("fingerprint")


def prepare_training() -> None:
    """Run the stages that `train` and `initialise` depend on."""
    take_fingerprints()
    run("validate")
    run("download")


def run_stages(variants: list[str], seeds: Sequence[int] = (0,)) -> None:
    """Call every stage but `track` in the working directory."""
    prepare_training()
    for name in variants:
        for seed in map(str, seeds):
            run("train", name, seed)
            run("extract", name, seed)
        run("initialise", name)
    for stage in ("diagnose", "render", "report"):
        run(stage)
