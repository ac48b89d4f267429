"""The gradient through time in a study's tables: how much of it reaches the first time step."""

import numpy as np
import pandas as pd

_STATE = r"hidden_gradient_l\d+(?:_reverse)?"
_KEYS = ["variant", "seed", "epoch", "layer_index", "layer", "tensor"]


def attenuation_by_state(layers: pd.DataFrame) -> pd.DataFrame:
    """Divide rms(dL/dh) of each recurrent layer's first state by that of its last one.

    The first state is that of the first time step, in the reverse direction that of the last.

    Args:
        layers: Rows as in layers.parquet; those of time step t are of the layer `NAME#t`.

    Returns:
        Columns variant, seed, epoch, layer_index, layer (its name), tensor and value: the
        attenuation, NaN where both gradients are 0. No rows without recurrent layers.
    """
    rows = layers[(layers["statistic"] == "rms") & layers["tensor"].str.fullmatch(_STATE)]
    parts = rows["layer"].str.extract(r"^(?P<layer>.*?)(?:#(?P<time>\d+))?$")
    time = parts["time"].fillna("1").astype("int64")
    order = time.where(~rows["tensor"].str.endswith("_reverse"), -time)
    rows = rows.assign(layer=parts["layer"], order=order).sort_values("order", kind="stable")
    states = rows.groupby(_KEYS, sort=False)["value"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios: pd.Series = states.first() / states.last()
    return ratios.reset_index()


def furthest_from_one(attenuations: pd.DataFrame) -> pd.Series:
    """Return, by epoch, the attenuation that is furthest from 1, of means over the seeds."""
    means = attenuations.groupby(["epoch", "layer", "tensor"])["value"].mean().dropna()
    with np.errstate(divide="ignore"):
        distances = np.log(means).abs()
    furthest: pd.Series = means.loc[distances.groupby("epoch").idxmax()].droplevel([1, 2])
    return furthest
