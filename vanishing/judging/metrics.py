"""One variant in a few numbers: what reports/metrics.json says of it."""

import math

import pandas as pd

from vanishing.results.tables import first_over_last_hidden, select
from vanishing.stats.intervals import geometric_mean

DIGITS = 6  # significant, in all that `diagnose` writes

Tables = dict[str, pd.DataFrame]


def measure(tables: Tables, depth: int) -> dict[str, float]:
    """Reduce one variant's tables to the numbers that the functions below list.

    Args:
        tables: The variant's rows of each table, as in `results.TABLES`.
        depth: Of the variant.

    Returns:
        {metric: value}, each a mean over the seeds, not rounded; NaN for what there is not.
    """
    return (
        training(tables["history"])
        | passing(tables["layers"])
        | weight_gradients(tables["layers"], tables["histograms"], tables["trace"])
        | initialisation(tables["theory"], depth)
    )


def training(history: pd.DataFrame) -> dict[str, float]:
    """Say how training ended.

    - `test_accuracy`, `test_loss`, `train_accuracy`, `train_loss`: after the last epoch (the
      training figures are running means over that epoch)
    - `generalization_gap`: test loss minus training loss of the same weights, in nats

    Returns:
        {metric: value}.
    """
    last = history[history["epoch"] == history["epoch"].max()].mean(numeric_only=True)
    keys = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
    gap = float(last["test_loss"] - last["train_loss_end"])
    return {key: float(last[key]) for key in keys} | {"generalization_gap": gap}


def passing(layers: pd.DataFrame) -> dict[str, float]:
    """Say what the layers pass on, at the first snapshot (`_init`) and the last (`_final`).

    - `attenuation_init`, `attenuation_final`
    - `saturation_init`, `saturation_final`: the largest share of saturated preactivations in a
      hidden layer
    - `activation_std_first_init`, `activation_std_last_init`: in the first and last hidden layer

    Returns:
        {metric: value}.
    """
    attenuation = select(layers, "backpropagated_gradient", "attenuation")
    attenuations = attenuation.groupby("epoch")["value"].mean()
    saturation = select(layers, "preactivation", "saturation")
    by_layer = saturation.groupby(["epoch", "layer_index"])["value"].mean()
    saturations = by_layer.groupby("epoch").max()
    std = select(layers[layers["epoch"] == layers["epoch"].min()], "activation", "std")
    stds = std.groupby("layer_index")["value"].mean()
    return {
        "attenuation_init": float(attenuations.iloc[0]),
        "attenuation_final": float(attenuations.iloc[-1]),
        "saturation_init": float(saturations.iloc[0]),
        "saturation_final": float(saturations.iloc[-1]),
        "activation_std_first_init": float(stds.iloc[0]),
        "activation_std_last_init": float(stds.iloc[-1]),
    }


def weight_gradients(
    layers: pd.DataFrame, histograms: pd.DataFrame, trace: pd.DataFrame
) -> dict[str, float]:
    """Say how large dL/dW is.

    - `weight_gradient_ratio_init`: its rms in the first layer over that in the last hidden one
    - `gradient_median_magnitude_init`: its median magnitude in the first layer, to a factor of √2:
      the geometric middle of the power-of-two bin that holds it
    - `gradient_outside_share_init`, `_final`: its share, over all layers, that is not between
      -0.02 and 0.02, the two bins of the article's histogram around zero
    - `gradient_norm_first_start`, `_end`: its norm in the first layer, at the first and the last
      step that the trace has

    Returns:
        {metric: value}.
    """
    ratios = first_over_last_hidden(layers, "weight_gradient", "rms").groupby("epoch").mean()
    gradients = histograms[histograms["tensor"] == "weight_gradient"]
    start = gradients[gradients["epoch"] == gradients["epoch"].min()]
    end = gradients[gradients["epoch"] == gradients["epoch"].max()]
    first = select(trace[trace["layer_index"] == 0], "weight_gradient", "l2_norm")
    norms = first.groupby("step")["value"].mean()
    return {
        "weight_gradient_ratio_init": float(ratios.iloc[0]),
        "gradient_median_magnitude_init": median_magnitude(start[start["layer_index"] == 0]),
        "gradient_outside_share_init": outside_share(start),
        "gradient_outside_share_final": outside_share(end),
        "gradient_norm_first_start": float(norms.iloc[0]),
        "gradient_norm_first_end": float(norms.iloc[-1]),
    }


def initialisation(theory: pd.DataFrame, depth: int) -> dict[str, float]:
    """Set theory beside fresh initialisations, at the variant's own depth.

    - `attenuation_theory`: as mean-field theory predicts it
    - `attenuation_fresh`, `_low`, `_high`: measured over fresh initialisations, with its interval
    - `hop_theory`, `hop_fresh`: geometric means over the hops
    - `hop_deviation`: the largest |measured / predicted - 1| of a hop

    Returns:
        {metric: value}.
    """
    own = theory[theory["depth"] == depth]
    whole = own[own["quantity"] == "attenuation"].iloc[0]
    hops = own[own["quantity"] == "hop"]
    deviation = (hops["measured"] / hops["predicted"] - 1).abs().max()
    return {
        "attenuation_theory": float(whole["predicted"]),
        "attenuation_fresh": float(whole["measured"]),
        "attenuation_fresh_low": float(whole["low"]),
        "attenuation_fresh_high": float(whole["high"]),
        "hop_theory": mean_hop(hops["predicted"]),
        "hop_fresh": mean_hop(hops["measured"]),
        "hop_deviation": float(deviation),
    }


def mean_hop(factors: pd.Series) -> float:
    """Return the geometric mean; NaN where there is no hop."""
    return float(geometric_mean(factors.to_numpy(dtype=float))) if len(factors) else math.nan


def median_magnitude(histograms: pd.DataFrame) -> float:
    """Return the geometric middle of the power-of-two bin that holds the median of |x|.

    Returns:
        The middle, over all that is not NaN; NaN where nothing is left.
    """
    bins = histograms[histograms["scale"] == "log2"]
    counts = bins.groupby(["bin_left", "bin_right"], sort=True)["count"].sum()
    if counts.empty:
        return math.nan
    middle = counts.index[int((counts.cumsum() >= counts.sum() / 2).to_numpy().argmax())]
    return math.sqrt(middle[0]) * math.sqrt(middle[1])


def outside_share(histograms: pd.DataFrame) -> float:
    """Return the share of values outside the two linear bins that meet at zero."""
    bins = histograms[histograms["scale"] == "linear"]
    central = (bins["bin_left"] == 0) | (bins["bin_right"] == 0)
    return float(bins.loc[~central, "count"].sum() / bins["count"].sum())
