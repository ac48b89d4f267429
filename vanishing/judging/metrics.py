"""Metrics: one variant in a few numbers, as in reports/metrics.json."""

import math

import numpy as np
import pandas as pd

from vanishing.judging.effects import Tables
from vanishing.judging.runs import Run
from vanishing.judging.through_time import attenuation_by_state, furthest_from_one
from vanishing.results.tables import select, select_weight_gradients
from vanishing.results.time_steps import HIDDEN
from vanishing.stats.intervals import geometric_mean

Metrics = dict[str, float]


def compute_metrics(tables: Tables) -> Metrics:
    """Reduce one variant's tables to the numbers that the functions below list.

    Args:
        tables: {table: the variant's rows}.

    Returns:
        {metric: value}, each a mean over the seeds, not rounded; NaN for a value that is not known.
    """
    depth = tables["initialisation"]["depth"].iloc[0]  # the same in all rows
    theory = tables["theory"]
    return compute_run_metrics(tables) | theory_metrics(theory, depth) | time_theory_metrics(theory)


def compute_run_metrics(tables: Tables) -> Metrics:
    """Reduce the tables of one or more training runs of a variant to numbers.

    Args:
        tables: {table: rows of these runs}: history, layers, histograms and trace.

    Returns:
        {metric: value}, as `compute_metrics`, without those that need no training.
    """
    return (
        training_metrics(tables["history"])
        | propagation_metrics(tables["layers"])
        | time_metrics(tables["layers"])
        | weight_gradient_metrics(tables["layers"], tables["histograms"], tables["trace"])
    )


def compute_recorded_metrics(run: Run) -> Metrics:
    """Reduce a recorded run to the numbers that it has; all others are not known.

    - `attenuation_init`, `attenuation_final`: of a module over the last one, where it is furthest
      from 1, at the first and the last traced step
    - `gradient_norm_first_start`, `_end`: as of a training run

    Returns:
        {metric: value}.
    """
    return {
        "attenuation_init": run.furthest_attenuation(),
        "attenuation_final": run.furthest_attenuation(at_end=True),
    } | gradient_norms(run.tables["trace"])


def training_metrics(history: pd.DataFrame) -> Metrics:
    """Return how training ended.

    - `test_accuracy`, `test_loss`, `train_accuracy`, `train_loss`: after the last epoch; the
      training figures are running means over that epoch
    - `generalization_gap`: test loss minus training loss of the same weights, in nats

    Returns:
        {metric: value}.
    """
    last = history[history["epoch"] == history["epoch"].max()].mean(numeric_only=True)
    keys = ("test_accuracy", "test_loss", "train_accuracy", "train_loss")
    gap = float(last["test_loss"] - last["train_loss_end"])
    return {key: float(last[key]) for key in keys} | {"generalization_gap": gap}


def propagation_metrics(layers: pd.DataFrame) -> Metrics:
    """Return how activations and gradients pass the layers, at the first and the last snapshot.

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
        "attenuation_init": _at(attenuations, 0),
        "attenuation_final": _at(attenuations, -1),
        "saturation_init": _at(saturations, 0),
        "saturation_final": _at(saturations, -1),
        "activation_std_first_init": _at(stds, 0),
        "activation_std_last_init": _at(stds, -1),
    }


def time_metrics(layers: pd.DataFrame) -> Metrics:
    """Return how the gradient passes the time steps, at the first and the last snapshot.

    - `time_attenuation_init`, `time_attenuation_final`: rms(dL/dh) of the first time step over that
      of the last, of the recurrent layer where it is furthest from 1

    Returns:
        {metric: value}; none without recurrent layers.
    """
    by_epoch = furthest_from_one(attenuation_by_state(layers))
    ends = {"time_attenuation_init": 0, "time_attenuation_final": -1}
    return {key: _at(by_epoch, end) for key, end in ends.items()} if len(by_epoch) else {}


def _at(values: pd.Series, position: int) -> float:
    """Return a value by its position; NaN where there is none, as without hidden layers."""
    return float(values.iloc[position]) if len(values) else math.nan


def weight_gradient_metrics(
    layers: pd.DataFrame, histograms: pd.DataFrame, trace: pd.DataFrame
) -> Metrics:
    """Return how large dL/dW is.

    - `weight_gradient_ratio_init`: its rms in the first layer over that in the last hidden one
    - `gradient_median_magnitude_init`: its median magnitude in the first layer, to a factor of √2:
      the geometric middle of the power-of-two bin that holds it
    - `gradient_outside_share_init`, `_final`: its share, over all layers, that is not between
      -0.02 and 0.02, the two bins of the article's histogram around zero
    - `gradient_norm_first_start`, `_end`: see `gradient_norms`

    Returns:
        {metric: value}.
    """
    ratios = first_over_last_hidden(layers, "weight_gradient", "rms").groupby("epoch").mean()
    gradients = select_weight_gradients(histograms)
    start = gradients[gradients["epoch"] == gradients["epoch"].min()]
    end = gradients[gradients["epoch"] == gradients["epoch"].max()]
    return {
        "weight_gradient_ratio_init": _at(ratios, 0),
        "gradient_median_magnitude_init": median_magnitude(start[start["layer_index"] == 0]),
        "gradient_outside_share_init": outside_share(start),
        "gradient_outside_share_final": outside_share(end),
    } | gradient_norms(trace)


def gradient_norms(trace: pd.DataFrame) -> Metrics:
    """Return the norm of dL/dW in the first layer, at the first and the last traced step.

    Returns:
        {metric: value}; NaN where the first layer has no `weight`, as an LSTM.
    """
    first = select(trace[trace["layer_index"] == 0], "weight_gradient", "l2_norm")
    norms = first.groupby("step")["value"].mean()
    return {
        "gradient_norm_first_start": _at(norms, 0),
        "gradient_norm_first_end": _at(norms, -1),
    }


def theory_metrics(theory: pd.DataFrame, depth: int) -> Metrics:
    """Return mean-field predictions beside fresh initialisations, at the variant's own depth.

    - `attenuation_theory`: predicted
    - `attenuation_fresh`, `_low`, `_high`: measured over fresh initialisations, with its interval
    - `hop_theory`, `hop_fresh`: geometric means over the hops
    - `hop_deviation`: the largest |measured / predicted - 1| of a hop

    Returns:
        {metric: value}; NaN for `hop_*` where the depth is 1.
    """
    rows = theory[theory["depth"] == depth]
    attenuation = rows[rows["quantity"] == "attenuation"].iloc[:1]
    hops = rows[rows["quantity"] == "hop"]
    deviation = (hops["measured"] / hops["predicted"] - 1).abs().max()
    return {
        "attenuation_theory": _at(attenuation["predicted"], 0),
        "attenuation_fresh": _at(attenuation["measured"], 0),
        "attenuation_fresh_low": _at(attenuation["low"], 0),
        "attenuation_fresh_high": _at(attenuation["high"], 0),
        "hop_theory": mean_hop(hops["predicted"]),
        "hop_fresh": mean_hop(hops["measured"]),
        "hop_deviation": float(deviation),
    }


def time_theory_metrics(theory: pd.DataFrame) -> Metrics:
    """Return predictions of hops through time beside fresh initialisations.

    Of the recurrent layer whose gradient through time is furthest from 1, all at initialisation:

    - `time_attenuation_theory`, `time_attenuation_fresh`: rms(dL/dh) of the first time step over
      that of the last, predicted and measured
    - `time_hop_theory`, `time_hop_fresh`: geometric means over the steps
    - `time_hop_deviation`: the largest |measured / predicted - 1| of a step

    Returns:
        {metric: value}, NaN where there is no theory; none without recurrent layers.
    """
    hops = theory[theory["quantity"].str.fullmatch(rf"{HIDDEN}_hop#\d+")]
    if hops.empty:
        return {}
    state = hops["quantity"].str.partition("#")[0]
    products = hops.groupby(["layer_index", state])["measured"].prod()
    with np.errstate(divide="ignore"):
        index, furthest = np.log(products).abs().idxmax()
    of_state = hops[(hops["layer_index"] == index) & (state == furthest)]
    measured, predicted = of_state["measured"], of_state["predicted"]
    return {
        "time_attenuation_theory": float(predicted.prod(min_count=len(predicted))),
        "time_attenuation_fresh": float(measured.prod()),
        "time_hop_theory": mean_hop(predicted),
        "time_hop_fresh": mean_hop(measured),
        "time_hop_deviation": float((measured / predicted - 1).abs().max(skipna=False)),
    }


def first_over_last_hidden(layers: pd.DataFrame, tensor: str, statistic: str) -> pd.Series:
    """Divide a statistic of the first weight layer by that of the last hidden one.

    The ratio is 1 where there is one hidden layer, NaN where it is 0 / 0 or no hidden layer has the
    tensor. The output layer is the last one.

    Args:
        layers: Rows as in layers.parquet.
        tensor: Of the statistic.
        statistic: To divide.

    Returns:
        The ratio, indexed by variant, seed and epoch.
    """
    keys = ["variant", "seed", "epoch"]
    output = layers.groupby(keys)["layer_index"].max()
    rows = select(layers, tensor, statistic)
    by_layer = rows.sort_values("layer_index", kind="stable").set_index(keys)
    hidden = by_layer[by_layer["layer_index"] < output.reindex(by_layer.index)]["value"]
    first, last = (
        hidden[~hidden.index.duplicated(keep=end)].reindex(output.index)
        for end in ("first", "last")
    )
    ratio: pd.Series = first / last
    return ratio


def mean_hop(factors: pd.Series) -> float:
    """Return the geometric mean of the factors per hop; NaN where there is no hop."""
    return float(geometric_mean(factors.to_numpy(dtype=float))) if len(factors) else math.nan


def median_magnitude(histograms: pd.DataFrame) -> float:
    """Return the geometric middle of the power-of-two bin that holds the median of |x|.

    Returns:
        The middle, over all values that are not NaN; NaN where there are none.
    """
    bins = histograms[histograms["scale"] == "log2"]
    counts = bins.groupby(["bin_left", "bin_right"], sort=True)["count"].sum()  # drops NaN's bin
    if counts.empty:
        return math.nan
    left, right = counts.index[int((counts.cumsum() >= counts.sum() / 2).to_numpy().argmax())]
    return math.sqrt(left) * math.sqrt(right)


def outside_share(histograms: pd.DataFrame) -> float:
    """Return the share of values outside the two linear bins that meet at zero."""
    bins = histograms[histograms["scale"] == "linear"]
    central = (bins["bin_left"] == 0) | (bins["bin_right"] == 0)
    return float(bins.loc[~central, "count"].sum() / bins["count"].sum())
