"""Scalars: a run's metrics under the names that they have in MLflow, live and mirrored alike."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_NO_METRICS = ("epoch", "step", "seed", "variant")  # columns of history.parquet


class Scalar(NamedTuple):
    """A metric's value at an epoch or a step."""

    name: str
    value: float
    step: int


def of_epoch(row: Mapping[str, Any]) -> list[Scalar]:
    """Return the losses and accuracies of one row of history.parquet, by epoch."""
    return [
        Scalar(name, float(value), int(row["epoch"]))
        for name, value in row.items()
        if name not in _NO_METRICS
    ]


def of_trace(rows: Iterable[Mapping[str, Any]]) -> list[Scalar]:
    """Return ‖dL/dW‖ of each layer in rows of trace.parquet, by step.

    The names contain the index of the layer, so that alphabetical order is the order of the layers.
    """
    return [
        Scalar(
            f"gradient/{row['layer_index']:02d}-{row['layer']}", float(row["value"]), row["step"]
        )
        for row in rows
        if (row["tensor"], row["statistic"]) == ("weight_gradient", "l2_norm")
    ]


def of_loss(step: int, loss: float | str) -> Scalar:
    """Return the loss of one batch, which may be given as the text "NaN" or "Infinity"."""
    return Scalar("loss", float(loss), step)
