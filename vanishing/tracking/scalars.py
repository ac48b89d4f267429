"""Scalars: a run's metrics under the names that they have in MLflow, live and mirrored alike.

MLflow shows the charts of a run in the alphabetical order of these names, without sections where
no name has a `/`. So the names give the order: attenuation, dL/dz by layer, loss and accuracy by
epoch, and then what belongs to single steps.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vanishing.results.tables import select

if TYPE_CHECKING:
    import pandas as pd

ATTENUATION = "attenuation"
INITIAL_ATTENUATION = "attenuation_init"
BY_LAYER_INIT, BY_LAYER_TRAINED = "gradient_by_layer_init", "gradient_by_layer_trained"
TEST_ACCURACY, TEST_LOSS = "test_accuracy", "test_loss"
TRAIN_ACCURACY, TRAIN_LOSS = "train_accuracy", "train_loss"
BATCH_LOSS = "train_loss_batch"

_OF_EPOCH = (TEST_ACCURACY, TEST_LOSS, TRAIN_ACCURACY, TRAIN_LOSS)  # columns of history.parquet
_OF_GRADIENT = "_gradient"  # ends the word for a parameter's gradient in the column `tensor`
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")  # in the name of a metric, by MLflow


class Scalar(NamedTuple):
    """A metric's value at an epoch, a step or a layer, which MLflow calls a step all the same."""

    name: str
    value: float
    step: int


def of_epoch(row: Mapping[str, Any]) -> list[Scalar]:
    """Return the losses and accuracies of one row of history.parquet, by epoch."""
    return [Scalar(name, float(row[name]), int(row["epoch"])) for name in _OF_EPOCH if name in row]


def of_layers(layers: "pd.DataFrame") -> list[Scalar]:
    """Return how much of the gradient arrives, from layers.parquet of one variant.

    - `attenuation`, by epoch: at each snapshot
    - `gradient_by_layer_init`, `gradient_by_layer_trained`, by layer: rms(dL/dz) at the first and
      the last snapshot. MLflow has no charts over layers, so the layer takes the place of the step

    Returns:
        The metrics, means over the seeds of `layers`; none of a recorded run.
    """
    attenuation = select(layers, "backpropagated_gradient", "attenuation")
    scalars = _means(ATTENUATION, attenuation, "epoch")
    if not scalars:
        return []
    rms = select(layers, "backpropagated_gradient", "rms")
    for name, scalar in ((BY_LAYER_INIT, scalars[0]), (BY_LAYER_TRAINED, scalars[-1])):
        scalars += _means(name, rms[rms["epoch"] == scalar.step], "layer_index")
    return scalars


def _means(name: str, rows: "pd.DataFrame", step: str) -> list[Scalar]:
    """Return the mean value at each step, which is a column."""
    means = rows.groupby(step, as_index=False)["value"].mean()
    pairs = zip(means[step], means["value"], strict=True)
    return [Scalar(name, float(value), int(at)) for at, value in pairs]


def of_trace(rows: Iterable[Mapping[str, Any]], layers: int = 100) -> list[Scalar]:
    """Return the norm of each weight's gradient in rows of trace.parquet, by step.

    The names contain the index of the layer, so that alphabetical order is the order of the layers.
    Those of weights with another name than `weight` end with it:
    `weight_gradient_02_encoder.weight_ih_l0`. A character that MLflow does not allow is replaced by
    `_`.

    Args:
        rows: With the columns of trace.parquet.
        layers: How many there may be: of more than 100 the indices have more than two digits.

    Returns:
        The metrics.
    """
    digits = max(2, len(str(layers - 1)))
    scalars = []
    for row in rows:
        leaf = row["tensor"].removesuffix(_OF_GRADIENT)
        if row["statistic"] == "l2_norm" and leaf != row["tensor"] and "weight" in leaf:
            suffix = "" if leaf == "weight" else f".{leaf}"
            name = f"weight_gradient_{row['layer_index']:0{digits}d}_{row['layer']}{suffix}"
            value, step = float(row["value"]), int(row["step"])
            scalars.append(Scalar(_NOT_ALLOWED.sub("_", name), value, step))
    return scalars


def of_loss(step: int, loss: float | str) -> Scalar:
    """Return the loss of one batch, which may be given as the text "NaN" or "Infinity"."""
    return Scalar(BATCH_LOSS, float(loss), step)
