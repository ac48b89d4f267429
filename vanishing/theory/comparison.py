"""Predictions of theory beside measurements of fresh initialisations."""

import math
from typing import Any

import numpy as np
import pandas as pd

from vanishing.params.study import TrainedVariant, Variant
from vanishing.results.tables import select
from vanishing.stats.intervals import geometric_mean, interval
from vanishing.theory import meanfield

Rows = list[dict[str, Any]]


def compare(variant: TrainedVariant, inputs: int, initialisations: pd.DataFrame) -> Rows:
    """Compare the predictions for a variant with the measurements of its initialisations.

    - `q`: E[z²], by hidden layer; the measured q of the first layer is given to the theory
    - `hop`: rms(dL/dz_l) / rms(dL/dz_(l+1)), by hidden layer but the last
    - `attenuation`: the product of the hops, at the first layer

    Measured values are geometric means over the initialisations, with a bootstrap interval.

    Args:
        variant: The network; its depth is replaced by each depth that was measured.
        inputs: Number of elements of an input.
        initialisations: Rows of initialisation.parquet of this variant, of one depth or several.

    Returns:
        Rows of theory.parquet, without `variant`.
    """
    rows: Rows = []
    for depth, statistics in initialisations.groupby("depth"):
        rows += _compare_depth(variant, int(str(depth)), inputs, statistics)
    return rows


def _compare_depth(
    variant: TrainedVariant, depth: int, inputs: int, statistics: pd.DataFrame
) -> Rows:
    preactivation = select(statistics, "preactivation", "rms")
    q = preactivation.assign(value=preactivation["value"] ** 2)
    measured = {
        "q": q[q["layer_index"] < depth],
        "hop": select(statistics, "backpropagated_gradient", "hop"),
        "attenuation": select(statistics, "backpropagated_gradient", "attenuation"),
    }
    first_q = q.loc[q["layer_index"] == 0, "value"].to_numpy(dtype=np.float64)
    predicted: dict[tuple[str, int], float] = {}
    if isinstance(variant, Variant):
        predicted = _predict(variant.at_depth(depth), inputs, float(geometric_mean(first_q)))
    return [
        {
            "depth": depth,
            "layer_index": int(str(index)),
            "quantity": quantity,
            "predicted": predicted.get((quantity, int(str(index)))),
            **_mean_and_interval(layer["value"].to_numpy(dtype=np.float64)),
        }
        for quantity, frame in measured.items()
        for index, layer in frame.groupby("layer_index")
    ]


def _predict(network: Variant, inputs: int, first_q: float) -> dict[tuple[str, int], float]:
    """Return {(quantity, layer index): prediction}; empty where there is no theory."""
    if meanfield.reason_unavailable(network) or not math.isfinite(first_q):
        return {}
    layers = meanfield.predict(network, inputs, first_q)
    q = {("q", index): layer.q for index, layer in enumerate(layers)}
    hops = {("hop", index): layer.hop for index, layer in enumerate(layers[:-1])}
    return q | hops | {("attenuation", 0): meanfield.attenuation(layers)}


def _mean_and_interval(values: np.ndarray) -> dict[str, float | int | None]:
    low, high = interval(values, geometric_mean)
    mean = float(geometric_mean(values))
    return {"measured": mean, "low": low, "high": high, "n": len(values)}
