"""Small studies on the digits of fixtures/, each in a folder of its own."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.measuring import Row, run_python
from vanishing.datasets.idx import FILES
from vanishing.environment import DATA_SOURCE, LIVE_METRICS
from vanishing.paths import LIBRARY, PARAMS, PIPELINE, STAGES

ROOT = Path(__file__).parents[1]
DIGITS = ROOT / "fixtures/digits"
BASELINE: Row = {
    "activation": "sigmoid",
    "depth": 3,
    "width": 16,
    "init": "default",
    "normalization": "none",
    "skip": False,
}
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    DATA_SOURCE: str(DIGITS),
    LIVE_METRICS: "0",
    "MLFLOW_TRACKING_URI": "",  # the study's own database
}


def read_params() -> dict[str, Any]:
    """Return the content of the repository's params.yaml."""
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / PARAMS)
    return content


def small_params(variants: Mapping[str, Row], **training: Any) -> dict[str, Any]:
    """Return the content of a params.yaml for the fixture's digits.

    Args:
        variants: {name: differences from BASELINE}; the others are compared to the first.
        **training: Keys of `train` that differ from params.yaml.

    Returns:
        The content, with few fresh initialisations, on the CPU.
    """
    content = read_params()
    content["data"]["checksums"] = {
        name: hashlib.sha256(gzip.decompress((DIGITS / f"{name}.gz").read_bytes())).hexdigest()
        for names in FILES.values()
        for name in names
    }
    content["train"] |= {"device": "cpu", **training}
    content["extract"] |= {"probe_size": 200, "init_probe_size": 100, "init_seeds": 3}
    content["extract"] |= {"sweep_depths": [1, 2, 4], "sweep_seeds": 2}
    content["expect"] = {}
    first, *others = variants
    content["variants"] = {first: BASELINE | variants[first]}
    for name in others:
        content["variants"][name] = BASELINE | {"compare_to": first} | variants[name]
    return content


def write_params(folder: Path, content: dict[str, Any]) -> None:
    """Write params.yaml into a folder."""
    YAML().dump(content, folder / PARAMS)  # keeps the order of keys


def lay_out(folder: Path, content: dict[str, Any]) -> None:
    """Begin a study in an existing folder: params.yaml, the code by links, its fingerprints."""
    write_params(folder, content)
    link_code(folder)
    run_stage(folder, "fingerprint")


def link_code(folder: Path) -> None:
    """Put the code into a folder by links: stages find it beside params.yaml."""
    for path in (PIPELINE, STAGES, LIBRARY):
        (folder / path).symlink_to(ROOT / path)


def run_stage(folder: Path, stage: str, *arguments: str) -> None:
    """Run a stage of a study in a process of its own."""
    run_python("-m", "stages", stage, *arguments, cwd=folder, **ENVIRONMENT)
