"""Mirror the results in MLflow: `python -m stages.track`.

In: params.yaml (`variants`), models/, data/statistics/ and reports/. Out: one finished MLflow run
per variant and one for the report, in the store that MLFLOW_TRACKING_URI names, or else in
mlflow.db. Safe to run again: what is there already is left as it is.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stages.core import results, run
from stages.core.errors import run_command
from stages.core.files import MODELS, REPORTS, STATISTICS, read_json
from stages.core.params import section
from stages.core.params.study import Study
from stages.core.results import select
from stages.core.tracking import Content, Mirror, Point

EXPERIMENT = "vanishing-gradients"
REPORT = "Report"  # no variant can have this name: they are in lower case

_NOT_SETTINGS: Any = {"variant": True, "data": {"checksums"}}


def main(argv: list[str]) -> None:
    """Mirror every variant and the report."""
    argparse.ArgumentParser(prog="python -m stages.track", description=__doc__).parse_args(argv)
    names = list(section.load(Study).variants)
    metrics = read_json(results.METRICS)
    mirror = Mirror(EXPERIMENT)
    written = 0
    for name in tqdm([*names, REPORT], desc="MLflow", unit="run", disable=None):
        artifacts = report_artifacts() if name == REPORT else variant_artifacts(name)
        identity = digest(artifacts, metrics.get(name))
        if not mirror.has(name, identity):
            content = Content({}, [], artifacts)
            if name != REPORT:
                settings = flat(run.load(name).model_dump(exclude=_NOT_SETTINGS))
                content = Content(settings, points(name, metrics[name]), artifacts)
            mirror.write(name, identity, content)
            written += 1
    print(f"MLflow: {written} runs written, {len(names) + 1 - written} were there already")


def variant_artifacts(name: str) -> dict[Path, str]:
    """Return {file: folder among the artifacts} for a variant's tables and weights."""
    tables = dict.fromkeys(_files(STATISTICS / name), "statistics")
    models = {
        path: str(Path("model") / path.parent.relative_to(MODELS / name))
        for path in _files(MODELS / name)
    }
    return tables | models


def report_artifacts() -> dict[Path, str]:
    """Return {file: folder among the artifacts} for the report and what it shows."""
    return {path: path.parent.as_posix() for path in _files(REPORTS)}


def points(name: str, metrics: dict[str, float | str | None]) -> list[Point]:
    """Collect a variant's metrics, means over the seeds.

    - `train_loss` and the like, by epoch
    - `gradient/00-hidden.0.linear` and the like, ‖dL/dW‖ by traced step, in the layers' order
    - `final/attenuation_init` and the like, what reports/metrics.json says

    Returns:
        One point per metric and epoch or step.
    """
    by_epoch = results.read("history", [name]).groupby("epoch").mean(numeric_only=True)
    found = [
        Point(key, value, int(str(epoch)))
        for key in by_epoch.columns.drop(["seed", "step"])
        for epoch, value in by_epoch[key].items()
    ]
    norms = select(results.read("trace", [name]), "weight_gradient", "l2_norm")
    by_step = norms.groupby(["layer_index", "layer", "step"])["value"].mean().reset_index()
    keys = by_step["layer_index"].map("gradient/{:02d}-".format) + by_step["layer"]
    found += map(Point, keys, by_step["value"], by_step["step"])
    return found + [
        Point(f"final/{key}", value, 0)
        for key, value in metrics.items()
        if isinstance(value, float | int)
    ]


def digest(files: Iterable[Path], metrics: object) -> str:
    """Return a SHA-256 over the paths and contents of files, and over metrics."""
    total = hashlib.sha256(json.dumps(metrics, sort_keys=True).encode())
    for path in files:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.as_posix()} {content}\n".encode())
    return total.hexdigest()


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings by dots."""
    items: dict[str, Any] = {}
    for key, value in nested.items():
        items |= (
            flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return items


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(run_command(main))
