"""What each of MLflow's runs holds: that of a variant, of a training run, of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from vanishing import paths
from vanishing.files import digest, sha256
from vanishing.judging.runs import Run
from vanishing.params.data import Computed
from vanishing.params.study import OVERRIDABLE
from vanishing.results import run, tables
from vanishing.results.run import RecordedRun, RunRecord
from vanishing.tracking import scalars
from vanishing.tracking.journal import TrainingRun
from vanishing.tracking.scalars import INITIAL_ATTENUATION, Scalar
from vanishing.tracking.store import Content
from vanishing.tracking.tags import ARTIFACTS_OF_TAG, FIGURES, SEED, VARIANT, VERDICT, WEIGHTS
from vanishing.tracking.timing import Times

_DIGEST_LENGTH = 32  # MLflow's limit for a dataset's digest is 36


def of_variant(
    variant: str,
    trainings: Mapping[int, TrainingRun | None],
    verdict: str,
    tags: Mapping[str, str],
) -> Content:
    """Collect what a variant's run holds; its training runs are nested under it.

    Metrics are means over the seeds: `attenuation`, losses and accuracies by epoch, rms(dL/dz) by
    layer, and `attenuation_init` for MLflow's tables, which show the last value of a metric. A mean
    leaves out the seeds for which the value is NaN.

    Args:
        variant: Its name.
        trainings: {seed: what the journal of its training run holds, or None}.
        verdict: In words, from metrics.json.
        tags: Further tags.

    Returns:
        The content.
    """
    seeds = list(trainings)
    record = run.load_any(variant, seeds[0])
    card = paths.card(variant)
    history = tables.read("history", [variant], seeds)
    means = history.groupby("epoch").mean(numeric_only=True).reset_index()
    by_layer = scalars.of_layers(tables.read("layers", [variant], seeds))
    curves = [scalar for row in _records(means) for scalar in scalars.of_epoch(row)]
    if isinstance(record, RecordedRun):
        recorded = Run(variant, {"trace": tables.read("trace", [variant], seeds)})
        attenuation = recorded.furthest_attenuation()
    else:
        attenuation = by_layer[0].value
    initial = Scalar(INITIAL_ATTENUATION, attenuation, 0)
    artifacts = dict.fromkeys(_files(paths.INITIALISATION / variant), paths.INITIALISATION.name)
    return Content(
        times=times(list(trainings.values())),
        params={**_settings(record), "train.seeds": seeds},
        scalars=[*by_layer, initial, *curves],
        tags={**tags, VARIANT: variant, VERDICT: verdict, FIGURES: sha256(card)},
        dataset=_dataset(record),
        artifacts={**artifacts, card: ARTIFACTS_OF_TAG[FIGURES]},
    )


def of_run(
    variant: str, seed: int, training: TrainingRun | None, tags: Mapping[str, str]
) -> Content:
    """Collect what the run of one training run holds.

    Metrics:

    - `attenuation` by epoch, `gradient_by_layer_init` and `gradient_by_layer_trained` by layer
    - `test_accuracy`, `test_loss`, `train_accuracy`, `train_loss` by epoch
    - `train_loss_batch`, the loss of one batch, by traced step
    - `weight_gradient_00_hidden.0.linear` and the like, ‖dL/dW‖ of a layer, by traced step
    - `system/…`, the duration and the peak memory, if the journal is there

    Args:
        variant: Its name.
        seed: Of the training run.
        training: What its journal holds; None if there is no journal of these results.
        tags: Further tags.

    Returns:
        The content.
    """
    record = run.load_any(variant, seed)
    history, losses, trace, layers = (
        tables.read(table, [variant], [seed]) for table in ("history", "losses", "trace", "layers")
    )
    traced = losses[losses["step"].isin(trace["step"])]
    metrics = scalars.of_layers(layers)
    metrics += [scalar for row in _records(history) for scalar in scalars.of_epoch(row)]
    metrics += scalars.of_trace(_records(trace))
    metrics += [scalars.of_loss(row["step"], row["loss"]) for row in _records(traced)]
    if training is not None:
        metrics.append(Scalar("system/train_duration_s", training.duration_s, 0))
        metrics.append(Scalar("system/peak_memory_bytes", training.peak_memory_bytes, 0))
        tags = {**tags, "study.device": training.device, "study.host": training.host}
    weights = sorted(paths.run_folder(paths.MODELS, variant, seed).glob("*.safetensors"))
    if weights:
        tags = {**tags, WEIGHTS: "complete"}
    written = {
        file: parent.name
        for parent in (paths.TRAINING, paths.STATISTICS)
        for file in _files(paths.run_folder(parent, variant, seed))
    }
    return Content(
        times=times([training]),
        params={**_settings(record), "seed": seed},
        scalars=metrics,
        tags={**tags, VARIANT: variant, SEED: str(seed)},
        dataset=_dataset(record),
        artifacts={**written, **dict.fromkeys(weights, ARTIFACTS_OF_TAG[WEIGHTS])},
    )


def of_report(tags: Mapping[str, str]) -> Content:
    """Collect what the report's run holds: all of reports/, in its folders. It is no training."""
    artifacts = {file: file.parent.as_posix() for file in _files(paths.REPORTS)}
    return Content(None, {}, [], tags, None, artifacts)


def times(trainings: Sequence[TrainingRun | None]) -> Times | None:
    """Return from when to when training runs ran; None if one of their journals is gone."""
    known = [training for training in trainings if training is not None]
    if len(known) < len(trainings):
        return None
    names = [training.training for training in known]
    return Times(
        names[0] if len(names) == 1 else digest(names),
        min(training.started for training in known),
        max(training.ended for training in known),
    )


def _settings(record: RunRecord | RecordedRun) -> dict[str, Any]:
    """Return the parameters that all training runs of a variant share, by dotted keys.

    Of a recorded run these are its folder, and the settings of its optimizers.
    """
    if isinstance(record, RecordedRun):
        return {"recorded": record.recorded, **_optimizers(record.watched)}
    return _flat(
        {
            "network": record.network.model_dump(exclude={*OVERRIDABLE}),
            "inputs": record.inputs,
            "classes": record.classes,
            "train": record.train.model_dump(),
            "data": record.data.model_dump(exclude={"checksums"}),
        }
    )


def _optimizers(watched: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recorded run's optimizers, by dotted keys: optimizer.0.0.lr."""
    settings = {"every": watched.get("every")}
    for optimizer in watched.get("optimizers", []):
        groups = {group["name"]: group["settings"] for group in optimizer["groups"]}
        named = {optimizer["name"]: {"class": optimizer["class"], **groups}}
        settings |= _flat({"optimizer": named})
    return settings


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Join the keys of nested mappings by dots."""
    items: dict[str, Any] = {}
    for key, value in nested.items():
        items |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return items


def _dataset(record: RunRecord | RecordedRun) -> tuple[str, str] | None:
    """Return the name of the dataset and a digest of its checksums; None of a recorded run."""
    if isinstance(record, RecordedRun):
        return None
    if isinstance(record.data, Computed):
        return record.data.dataset, digest(record.data.model_dump())[:_DIGEST_LENGTH]
    return record.data.dataset, digest(record.data.checksums.by_file())[:_DIGEST_LENGTH]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a frame as {column: value}."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
