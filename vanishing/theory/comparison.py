"""Theory beside measurement, at initialisation."""

import math
from typing import Any

import numpy as np
import pandas as pd

from vanishing.params.study import Variant
from vanishing.results.tables import select
from vanishing.stats.intervals import geometric_mean, interval
from vanishing.theory import meanfield

Rows = list[dict[str, Any]]


def compare(variant: Variant, inputs: int, measured: pd.DataFrame) -> Rows:
    """Set what theory predicts of a variant beside what its initialisations measured.

    - `q`: E[z²], by hidden layer; that of the first layer is given to the theory
    - `hop`: rms(dL/dz_l) / rms(dL/dz_(l+1)), by hidden layer but the last
    - `attenuation`: the product of the hops, at the first layer

    Measured values are geometric means over the initialisations, with their bootstrap interval.

    Args:
        variant: The network; its depth is replaced by each depth that was measured.
        inputs: Number of input features.
        measured: Rows of initialisation.parquet of this variant, of one depth or several.

    Returns:
        Rows of theory.parquet, without `variant`.
    """
    rows: Rows = []
    for depth, own in measured.groupby("depth"):
        network = variant.model_copy(update={"depth": int(str(depth))})
        q = select(own, "preactivation", "rms").assign(value=lambda rows: rows["value"] ** 2)
        gradient = "backpropagated_gradient"
        found = {
            "q": q[q["layer_index"] < network.depth],
            "hop": select(own, gradient, "hop"),
            "attenuation": select(own, gradient, "attenuation"),
        }
        first = q.loc[q["layer_index"] == 0, "value"].to_numpy(dtype=np.float64)
        predicted = _predict(network, inputs, float(geometric_mean(first)))
        rows += [
            {
                "depth": network.depth,
                "layer_index": int(str(index)),
                "quantity": quantity,
                "predicted": predicted.get((quantity, int(str(index)))),
                **_measure(values["value"].to_numpy(dtype=np.float64)),
            }
            for quantity, frame in found.items()
            for index, values in frame.groupby("layer_index")
        ]
    return rows


def _predict(network: Variant, inputs: int, first_q: float) -> dict[tuple[str, int], float]:
    if meanfield.unavailable(network) or not math.isfinite(first_q):
        return {}
    layers = meanfield.predict(network, inputs, first_q)
    found = {("q", index): layer.q for index, layer in enumerate(layers)}
    found |= {("hop", index): layer.hop for index, layer in enumerate(layers[:-1])}
    return found | {("attenuation", 0): meanfield.attenuation(layers)}


def _measure(values: np.ndarray) -> dict[str, float | int | None]:
    low, high = interval(values, geometric_mean)
    mean = float(geometric_mean(values))
    return {"measured": mean, "low": low, "high": high, "n": len(values)}
