"""What each of MLflow's runs holds: that of a variant, of a training run, of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from vanishing import paths
from vanishing.files import digest, sha256
from vanishing.results import run, tables
from vanishing.results.run import RunRecord
from vanishing.tracking import scalars
from vanishing.tracking.journal import TrainingRun
from vanishing.tracking.scalars import Scalar
from vanishing.tracking.store import (
    ARTIFACTS_OF_TAG,
    FIGURES,
    SEED,
    VARIANT,
    WEIGHTS,
    Content,
)

_DIGEST_LENGTH = 32  # MLflow's limit for a dataset's digest is 36


def of_variant(
    variant: str,
    seeds: Sequence[int],
    metrics: Mapping[str, float | str | None],
    tags: Mapping[str, str],
) -> Content:
    """Collect what a variant's run holds; its training runs are nested under it.

    Metrics are `train_loss` and the like by epoch, the mean over the seeds, and `final/…`, the
    numbers of metrics.json. A mean leaves out the seeds for which the value is NaN.

    Args:
        variant: Its name.
        seeds: Of its training runs.
        metrics: Its entry of metrics.json.
        tags: Further tags.

    Returns:
        The content.
    """
    record = run.load(variant, seeds[0])
    card = paths.card(variant)
    history = tables.read("history", [variant], seeds)
    means = history.groupby("epoch").mean(numeric_only=True).reset_index()
    curves = [scalar for row in _records(means) for scalar in scalars.of_epoch(row)]
    final = [
        Scalar(f"final/{name}", value, 0)
        for name, value in metrics.items()
        if isinstance(value, float | int)
    ]
    artifacts = dict.fromkeys(_files(paths.INITIALISATION / variant), paths.INITIALISATION.name)
    return Content(
        params={**_settings(record), "train.seeds": list(seeds)},
        scalars=[*curves, *final],
        tags={**tags, VARIANT: variant, FIGURES: sha256(card)},
        dataset=_dataset(record),
        artifacts={**artifacts, card: ARTIFACTS_OF_TAG[FIGURES]},
    )


def of_run(
    variant: str, seed: int, training: TrainingRun | None, tags: Mapping[str, str]
) -> Content:
    """Collect what the run of one training run holds.

    Metrics:

    - `train_loss` and the like, by epoch
    - `gradient/00-hidden.0.linear` and the like, ‖dL/dW‖ of a layer, by traced step
    - `loss`, of one batch, by traced step
    - `system/…`, the duration and the peak memory, if the journal is there

    Args:
        variant: Its name.
        seed: Of the training run.
        training: What its journal holds; None if there is no journal of these results.
        tags: Further tags.

    Returns:
        The content.
    """
    record = run.load(variant, seed)
    history, losses, trace = (
        tables.read(table, [variant], [seed]) for table in ("history", "losses", "trace")
    )
    traced = losses[losses["step"].isin(trace["step"])]
    metrics = [scalar for row in _records(history) for scalar in scalars.of_epoch(row)]
    metrics += scalars.of_trace(_records(trace))
    metrics += [scalars.of_loss(row["step"], row["loss"]) for row in _records(traced)]
    if training is not None:
        metrics.append(Scalar("system/train_duration_s", training.duration_s, 0))
        metrics.append(Scalar("system/peak_memory_bytes", training.peak_memory_bytes, 0))
        tags = {**tags, "study.device": training.device, "study.host": training.host}
    weights = _files(paths.run_folder(paths.MODELS, variant, seed))
    if weights:
        tags = {**tags, WEIGHTS: "complete"}
    written = {
        file: parent.name
        for parent in (paths.TRAINING, paths.STATISTICS)
        for file in _files(paths.run_folder(parent, variant, seed))
    }
    return Content(
        params={**_settings(record), "seed": seed},
        scalars=metrics,
        tags={**tags, VARIANT: variant, SEED: str(seed)},
        dataset=_dataset(record),
        artifacts={**written, **dict.fromkeys(weights, ARTIFACTS_OF_TAG[WEIGHTS])},
    )


def of_report(tags: Mapping[str, str]) -> Content:
    """Collect what the report's run holds: all of reports/, in its folders."""
    artifacts = {file: file.parent.as_posix() for file in _files(paths.REPORTS)}
    return Content({}, [], tags, None, artifacts)


def _settings(record: RunRecord) -> dict[str, Any]:
    """Return the parameters that all training runs of a variant share, by dotted keys."""
    return _flat(
        {
            "network": record.network.model_dump(),
            "inputs": record.inputs,
            "classes": record.classes,
            "train": record.train.model_dump(),
            "data": record.data.model_dump(exclude={"checksums"}),
        }
    )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings by dots."""
    items: dict[str, Any] = {}
    for key, value in nested.items():
        items |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return items


def _dataset(record: RunRecord) -> tuple[str, str]:
    """Return the name of the dataset and a digest of its checksums."""
    return record.data.dataset, digest(record.data.checksums.by_file())[:_DIGEST_LENGTH]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as {column: value}."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
