"""How much of the gradient reaches the first time step of recurrent layers."""

import numpy as np
import pandas as pd

from vanishing.results.time_steps import HIDDEN, select_by_time

_COLUMNS = ["variant", "seed", "epoch", "layer", "tensor", "time", "value"]


def attenuation_through_time(gradients: pd.DataFrame) -> pd.DataFrame:
    """Return rms of the gradient of each first state over that of the last one.

    The reverse direction begins at the end of the sequence: its first state is that at t = T.

    Args:
        gradients: As from `stream.gradient_through_time`; further columns tell states apart too.

    Returns:
        Columns layer, tensor, first and last (the time steps of these states) and attenuation: NaN
        where both gradients are 0, infinite where that of the last state is. A row for each layer
        and tensor, in their order.
    """
    keys = [column for column in gradients.columns if column not in {"time", "rms"}]
    states = []
    for key, rows in gradients.groupby(keys, sort=False):
        is_reverse = rows["tensor"].iloc[0].endswith("_reverse")
        in_order = rows.sort_values("time", ascending=not is_reverse)
        (first, last), (before, after) = (in_order[c].iloc[[0, -1]] for c in ("time", "rms"))
        with np.errstate(divide="ignore", invalid="ignore"):
            states.append((*key, first, last, np.divide(before, after)))
    frame = pd.DataFrame(states, columns=[*keys, "first", "last", "attenuation"])
    return frame.astype({"attenuation": "float64"})


def attenuation_by_state(layers: pd.DataFrame) -> pd.DataFrame:
    """Divide rms(dL/dh) of each recurrent layer's first state by that of its last one.

    The first state is that of the first time step, in the reverse direction that of the last.

    Args:
        layers: Rows as in layers.parquet; those of time step t are of the layer `NAME#t`.

    Returns:
        Columns variant, seed, epoch, layer (its name), tensor and value: the attenuation, NaN where
        both gradients are 0. No rows without recurrent layers.
    """
    states = select_by_time(layers, HIDDEN)[_COLUMNS].rename(columns={"value": "rms"})
    attenuations = attenuation_through_time(states).rename(columns={"attenuation": "value"})
    return attenuations.drop(columns=["first", "last"])


def furthest_from_one(attenuations: pd.DataFrame) -> pd.Series:
    """Return, by epoch, the attenuation that is furthest from 1, of means over the seeds."""
    means = attenuations.groupby(["epoch", "layer", "tensor"])["value"].mean().dropna()
    with np.errstate(divide="ignore"):
        distances = np.log(means).abs()
    furthest: pd.Series = means.loc[distances.groupby("epoch").idxmax()].droplevel([1, 2])
    return furthest
