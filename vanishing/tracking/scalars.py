"""A run's metrics as MLflow has them: the same while it trains and afterwards."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_EPOCH = ("epoch", "step", "seed", "variant")  # columns of the history that are no metrics


class Point(NamedTuple):
    """A metric's value at an epoch or a step."""

    key: str
    value: float
    step: int


def prefix(seed: int, seeds: Iterable[int]) -> str:
    """Return what tells a seed's metrics from the others': nothing where there is one seed."""
    return f"seed-{seed}/" if len(list(seeds)) > 1 else ""


def of_epoch(row: Mapping[str, Any], before: str) -> list[Point]:
    """Name the losses and accuracies of one row of history.parquet."""
    return [
        Point(before + k, float(v), int(row["epoch"])) for k, v in row.items() if k not in _EPOCH
    ]


def of_trace(rows: Iterable[Mapping[str, Any]], before: str) -> list[Point]:
    """Name ‖dL/dW‖ of rows of trace.parquet, so that they stand in the layers' order."""
    norms = (r for r in rows if (r["tensor"], r["statistic"]) == ("weight_gradient", "l2_norm"))
    return [
        Point(f"{before}gradient/{r['layer_index']:02d}-{r['layer']}", float(r["value"]), r["step"])
        for r in norms
    ]


def of_loss(step: int, loss: float | str, before: str) -> Point:
    """Name the loss of one batch."""
    return Point(f"{before}loss", float(loss), step)
