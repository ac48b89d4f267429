"""Predictions of theory beside measurements of fresh initialisations."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vanishing.params.study import TrainedVariant, Variant
from vanishing.results.tables import select
from vanishing.stats.intervals import geometric_mean, interval
from vanishing.theory import meanfield

if TYPE_CHECKING:
    from vanishing.theory.network.walk import NetworkLayerTheory

Rows = list[dict[str, Any]]
_Predicted = dict[tuple[str, int], float]  # {(quantity, layer index): prediction}
_IN_TIME = r"(hidden|cell)_gradient_l\d+(_reverse)?"


def compare(
    variant: TrainedVariant,
    inputs: int,
    initialisations: pd.DataFrame,
    layers: "Sequence[NetworkLayerTheory]" = (),
) -> Rows:
    """Compare the predictions for a variant with the measurements of its initialisations.

    - `q`: E[z²], by hidden layer; the measured q of the first layer is given to the theory
    - `hop`: rms(dL/dz_l) / rms(dL/dz_(l+1)), by hidden layer but the last
    - `attenuation`: the product of the hops, at the first layer
    - `hidden_gradient_l0_hop#1` and its like: rms(dL/dh_t) / rms(dL/dh_(t+1)) at t = 1, by time
      step but the last, of a recurrent layer

    Measured values are geometric means over the initialisations, with a bootstrap interval.

    Args:
        variant: The network; its depth is replaced by each depth that was measured.
        inputs: Number of elements of an input.
        initialisations: Rows of initialisation.parquet of this variant, of one depth or several.
        layers: The theory of a network that a function returns, as `predict_network` has
            it; none where there is no theory.

    Returns:
        Rows of theory.parquet, without `variant`.
    """
    rows: Rows = []
    for depth, statistics in initialisations.groupby("depth"):
        if isinstance(variant, Variant):
            first_q = _geometric_mean_q(statistics)
            predicted = _predict(variant.at_depth(int(str(depth))), inputs, first_q)
        else:
            predicted = _of_network(layers)
        rows += _compare_depth(int(str(depth)), statistics, predicted)
    return rows


def _compare_depth(depth: int, statistics: pd.DataFrame, predicted: _Predicted) -> Rows:
    q = _q(statistics)
    measured = {
        "q": q[q["layer_index"] < depth],
        "hop": select(statistics, "backpropagated_gradient", "hop"),
        "attenuation": select(statistics, "backpropagated_gradient", "attenuation"),
        **dict(_hops_in_time(statistics)),
    }
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


def _q(statistics: pd.DataFrame) -> pd.DataFrame:
    preactivation = select(statistics, "preactivation", "rms")
    return preactivation.assign(value=preactivation["value"] ** 2)


def _geometric_mean_q(statistics: pd.DataFrame) -> float:
    """Return the measured q of the first layer."""
    q = _q(statistics)
    first_q = q.loc[q["layer_index"] == 0, "value"].to_numpy(dtype=np.float64)
    return float(geometric_mean(first_q))


def _hops_in_time(statistics: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each quantity through time, with its value for each seed and layer."""
    rows = statistics[
        (statistics["statistic"] == "rms") & statistics["tensor"].str.fullmatch(_IN_TIME)
    ]
    time = rows["layer"].str.extract(r"#(\d+)$", expand=False).fillna("1")  # `rnn`, `rnn#2`, …
    rows = rows.assign(time=time.astype(int)).sort_values("time", kind="stable")
    next_value = rows.groupby(["seed", "layer_index", "tensor"])["value"].shift(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        hops = rows.assign(value=rows["value"] / next_value)[next_value.notna()]
    for (tensor, step), frame in hops.groupby(["tensor", "time"]):
        yield f"{tensor}_hop#{step}", frame


def _predict(network: Variant, inputs: int, first_q: float) -> _Predicted:
    """Return the predictions for a multilayer perceptron; none where there is no theory."""
    if meanfield.reason_unavailable(network) or not math.isfinite(first_q):
        return {}
    layers = meanfield.predict(network, inputs, first_q)
    q = {("q", index): layer.q for index, layer in enumerate(layers)}
    hops = {("hop", index): layer.hop for index, layer in enumerate(layers[:-1])}
    return q | hops | {("attenuation", 0): meanfield.attenuation(layers)}


def _of_network(layers: "Sequence[NetworkLayerTheory]") -> _Predicted:
    """Return the predictions for any network by quantity."""
    predicted: _Predicted = {}
    for index, layer in enumerate(layers):
        predicted["q", index] = layer.q
        predicted["hop", index] = layer.hop
        for tensor, hops in layer.hops_in_time.items():
            predicted |= {
                (f"{tensor}_hop#{step}", index): hop for step, hop in enumerate(hops, start=1)
            }
    if layers:
        predicted["attenuation", 0] = meanfield.attenuation(layers)
    return {key: value for key, value in predicted.items() if math.isfinite(value)}


def _mean_and_interval(values: np.ndarray) -> dict[str, float | int | None]:
    low, high = interval(values, geometric_mean)
    mean = float(geometric_mean(values))
    return {"measured": mean, "low": low, "high": high, "n": len(values)}
