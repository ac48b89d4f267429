"""The frame behind each figure, computed here so that drawing computes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vanishing.judging.verdicts import Row, mark
from vanishing.results.tables import select, select_weight_gradients
from vanishing.results.time_steps import HIDDEN, select_by_time

SMALLEST_SHARE = 1e-3  # of a layer's gradients, for a bin to be drawn


def mean_over_seeds(rows: pd.DataFrame, keys: Sequence[str], name: str) -> pd.DataFrame:
    """Return the mean of the column `value` over the rows that share their keys.

    Args:
        rows: Columns `keys` and value.
        keys: All that tells rows apart but the seed.
        name: Of the mean's column.

    Returns:
        Columns `keys` and `name`, in the order of `rows`.
    """
    mean = rows.groupby(list(keys), sort=False)["value"].mean()
    return mean.rename(name).reset_index()


def mean_history(history: pd.DataFrame) -> pd.DataFrame:
    """Return the losses and accuracies per variant and epoch, mean over the seeds.

    Returns:
        The columns of history.parquet but seed and step.
    """
    mean = history.groupby(["variant", "epoch"], sort=False).mean(numeric_only=True)
    return mean.drop(columns=["seed", "step"]).reset_index()


def losses(history: pd.DataFrame) -> pd.DataFrame:
    """Return training and test loss of the same weights by epoch, mean over the seeds.

    Args:
        history: Of one variant.

    Returns:
        Columns epoch, examples (train or test) and loss.
    """
    mean = history.groupby("epoch")[["train_loss_end", "test_loss"]].mean()
    named = mean.rename(columns={"train_loss_end": "train", "test_loss": "test"})
    return named.reset_index().melt("epoch", var_name="examples", value_name="loss")


def generalization_gap(history: pd.DataFrame) -> pd.DataFrame:
    """Return test loss minus training loss per variant and epoch, mean over the seeds.

    Returns:
        Columns variant, epoch, gap.
    """
    gap = history.assign(value=history["test_loss"] - history["train_loss_end"])
    return mean_over_seeds(gap, ["variant", "epoch"], "gap")


def gradient_norms(layers: pd.DataFrame) -> pd.DataFrame:
    """Return rms(dL/dz) per variant, snapshot and weight layer, mean over the seeds.

    Returns:
        Columns variant, epoch, layer_index, rms.
    """
    rows = select(layers, "backpropagated_gradient", "rms")
    return mean_over_seeds(rows, ["variant", "epoch", "layer_index"], "rms")


def gradient_decay(layers: pd.DataFrame) -> pd.DataFrame:
    """Return `gradient_norms` of each variant's first and last snapshot, as `first_and_last`."""
    return first_and_last(gradient_norms(layers))


def gradient_through_time(layers: pd.DataFrame) -> pd.DataFrame:
    """Return rms(dL/dh_t) of recurrent layers at each time step, mean over the seeds.

    Returns:
        Columns variant, epoch, state (such as `rnn, layer 0`), time (1 is the first), rms and
        is_last, of each variant's first and last snapshot.
    """
    rows = select_by_time(layers, HIDDEN)
    suffix = rows["tensor"].str.removeprefix("hidden_gradient_l").str.replace("_", " ")
    rows = rows.assign(state=rows["layer"] + ", layer " + suffix)
    return first_and_last(mean_over_seeds(rows, ["variant", "epoch", "state", "time"], "rms"))


def gradient_along_stream(layers: pd.DataFrame) -> pd.DataFrame:
    """Return rms(dL/dh) of the output h of each block, mean over the seeds.

    Returns:
        Columns variant, epoch, number (of the block in the forward pass, 1 the first), rms and
        is_last, of each variant's first and last snapshot; none of networks with one block.
    """
    keys = ["variant", "seed", "epoch", "layer"]
    rms = select(layers, "stream_gradient", "rms")[[*keys, "value"]]
    positions = select(layers, "stream_gradient", "position")[[*keys, "value"]]
    rows = rms.merge(positions.rename(columns={"value": "position"}), on=keys)
    snapshots = rows.groupby(["variant", "seed", "epoch"])["position"]
    rows = rows.assign(number=snapshots.rank().astype("int64"))[snapshots.transform("size") > 1]
    return first_and_last(mean_over_seeds(rows, ["variant", "epoch", "number"], "rms"))


def first_and_last(snapshots: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each variant's first and last snapshot.

    Args:
        snapshots: Columns variant and epoch, and more.

    Returns:
        Its columns, and is_last; a variant with one snapshot has it once, as its first.
    """
    epochs = snapshots.groupby("variant")["epoch"]
    first, last = epochs.transform("min"), epochs.transform("max")
    snapshots = snapshots.assign(is_last=snapshots["epoch"] > first)
    return snapshots[(snapshots["epoch"] == first) | (snapshots["epoch"] == last)]


def traced_gradient_decay(trace: pd.DataFrame) -> pd.DataFrame:
    """Return rms(dL/dz) of each module of a recorded run, at its first and its last traced step.

    Returns:
        Columns moment (in words), layer_index, rms; of modules that are called several times, the
        first call.
    """
    rows = select(trace, "backpropagated_gradient", "rms")
    rows = rows[
        ~rows["layer"].str.contains("#") & rows["step"].isin(rows["step"].agg(["min", "max"]))
    ]
    moments = "step " + rows["step"].astype(str)
    return pd.DataFrame(
        {"moment": moments, "layer_index": rows["layer_index"], "rms": rows["value"]}
    )


def saturation(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the share of saturated z per variant, hidden layer and snapshot, mean over the seeds.

    Returns:
        Columns variant, layer_index, epoch, share.
    """
    rows = select(layers, "preactivation", "saturation")
    return mean_over_seeds(rows, ["variant", "layer_index", "epoch"], "share")


def activation_quantiles(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the quantiles of φ(z) per variant and layer at initialisation, mean over the seeds.

    Returns:
        Columns variant, layer_index, q01 … q99.
    """
    rows = layers[
        (layers["tensor"] == "activation")
        & (layers["epoch"] == layers["epoch"].min())
        & layers["statistic"].str.fullmatch(r"q\d\d")
    ]
    mean = rows.groupby(["variant", "layer_index", "statistic"])["value"].mean()
    wide = mean.unstack("statistic")
    return pd.DataFrame(wide.reset_index())


def gradient_histogram(histograms: pd.DataFrame) -> pd.DataFrame:
    """Count dL/dW of all layers and seeds in the linear bins: the article's histogram, by snapshot.

    Returns:
        Columns epoch, bin_left, bin_right, count; only bins within (-1, 1).
    """
    rows = select_weight_gradients(histograms[histograms["scale"] == "linear"])
    rows = rows[np.isfinite(rows["bin_left"]) & np.isfinite(rows["bin_right"])]
    counts = rows.groupby(["epoch", "bin_left", "bin_right"])["count"].sum()
    return pd.DataFrame(counts.reset_index())


def gradient_distributions(histograms: pd.DataFrame) -> pd.DataFrame:
    """Return the share of |x| per power of two, per variant and layer, at initialisation.

    Zeros, infinities and NaN have no place on a logarithmic axis. They count in the total, so the
    shares that are returned add up to 1 less theirs. Bins with less than SMALLEST_SHARE of a layer
    are left out: thin tails reach down to 1e-40 and would leave no room for the rest. A layer of
    which no bin is left has one row, of NaN.

    Args:
        histograms: Rows as in histograms.parquet of x, which may be several tensors of a layer.

    Returns:
        Columns variant, layer_index, share, log10_left, log10_right.
    """
    is_first = histograms["epoch"] == histograms["epoch"].min()
    rows = histograms[(histograms["scale"] == "log2") & is_first]
    total = rows.groupby(["variant", "layer_index"])["count"].transform("sum")
    on_axis = (rows["bin_left"] > 0) & np.isfinite(rows["bin_right"])
    bins = rows.assign(share=rows["count"] / total)[on_axis]
    keys = ["variant", "layer_index", "bin_left", "bin_right"]
    shares = bins.groupby(keys, sort=False)["share"].sum().reset_index()
    layers = rows[["variant", "layer_index"]].drop_duplicates()
    shares = layers.merge(shares[shares["share"] >= SMALLEST_SHARE], how="left")
    return pd.DataFrame(
        {
            **shares[["variant", "layer_index", "share"]],
            "log10_left": np.log10(shares["bin_left"]),
            "log10_right": np.log10(shares["bin_right"]),
        }
    )


def activation_distributions(histograms: pd.DataFrame) -> pd.DataFrame:
    """Return the share of φ(z) per linear bin, per variant and layer, at initialisation.

    Returns:
        Columns variant, layer_index, bin_left, bin_right, share; only bins within (-1, 1).
    """
    rows = histograms[
        (histograms["tensor"] == "activation")
        & (histograms["scale"] == "linear")
        & (histograms["epoch"] == histograms["epoch"].min())
    ]
    total = rows.groupby(["variant", "layer_index"])["count"].transform("sum")
    within = np.isfinite(rows["bin_left"]) & np.isfinite(rows["bin_right"])
    bins = rows.assign(share=rows["count"] / total)[within]
    keys = ["variant", "layer_index", "bin_left", "bin_right"]
    return pd.DataFrame(bins.groupby(keys, sort=False)["share"].sum().reset_index())


def gradient_trace(trace: pd.DataFrame) -> pd.DataFrame:
    """Return log10 ‖dL/dW‖ per variant, step and layer, of the norm's mean over the seeds.

    The norm is that of all weights of a layer: a recorded LSTM has several.

    Returns:
        Columns variant, step, layer_index, log10_norm; -inf where the norm is 0.
    """
    rows = select_weight_gradients(trace[trace["statistic"] == "l2_norm"])
    keys = ["variant", "seed", "step", "layer_index"]
    squares = rows.assign(value=rows["value"] ** 2).groupby(keys, sort=False)["value"]
    rows = squares.sum(min_count=1).pow(0.5).reset_index()
    norms = mean_over_seeds(rows, ["variant", "step", "layer_index"], "norm")
    with np.errstate(divide="ignore"):
        return norms.assign(log10_norm=np.log10(norms["norm"])).drop(columns="norm")


def gradient_magnitudes(trace_histograms: pd.DataFrame) -> pd.DataFrame:
    """Return the share of |dL/dW| of the first weight layer per power of two, variant and step.

    Shares are of all gradients of the layer, zeros and values that are not finite among them, over
    all seeds. Bins with less than SMALLEST_SHARE are left out; zeros and values that are not finite
    are kept, however few. Denormals, 2^-149 to 2^-126, are one bin.

    Args:
        trace_histograms: Rows as in trace_histograms.parquet.

    Returns:
        Columns variant, step, log10_left, log10_right, share. Zeros have the edges -inf, NaN and
        infinities together the edges NaN.
    """
    rows = select_weight_gradients(trace_histograms[trace_histograms["layer_index"] == 0])
    with np.errstate(divide="ignore"):
        edges = {
            f"log10_{side}": np.log10(rows[f"bin_{side}"].replace(np.inf, np.nan))
            for side in ("left", "right")
        }
    keys = ["variant", "step", *edges]
    counts = rows.assign(**edges).groupby(keys, sort=False, dropna=False)["count"].sum()
    shares = counts / counts.groupby(["variant", "step"], sort=False).transform("sum")
    bins = shares.rename("share").reset_index()
    shown = (bins["share"] >= SMALLEST_SHARE) | ~np.isfinite(bins["log10_left"])
    return pd.DataFrame(bins[shown])


def attenuation_by_depth(theory: pd.DataFrame) -> pd.DataFrame:
    """Return the attenuation at initialisation per variant and depth, predicted and measured.

    Returns:
        Columns variant, depth, predicted, measured, low, high, n; NaN where there is no theory.
    """
    rows = theory[theory["quantity"] == "attenuation"]
    columns = ["variant", "depth", "predicted", "measured", "low", "high", "n"]
    return rows[columns].sort_values("depth", kind="stable")


def attenuation_by_variant(metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return the attenuation at initialisation of every variant, over fresh initialisations.

    Args:
        metrics: As in reports/metrics.json.

    Returns:
        Columns variant, predicted, measured, low, high; NaN where there is no such number.
    """
    keys = {
        "predicted": "attenuation_theory",
        "measured": "attenuation_fresh",
        "low": "attenuation_fresh_low",
        "high": "attenuation_fresh_high",
    }
    columns = {
        column: [numbers[metric] for numbers in metrics.values()] for column, metric in keys.items()
    }
    return pd.DataFrame({"variant": list(metrics), **columns}).astype(dict.fromkeys(keys, float))


def health_matrix(checks: list[Row]) -> pd.DataFrame:
    """Return the gravest verdict of each rule for each variant, and that on its learning.

    Args:
        checks: As in reports/health.json.

    Returns:
        Columns variant, rule, mark (a problem by its kind, else the verdict), in the order of
        `checks`.
    """
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in checks:
        cells.setdefault((row["variant"], row["rule"]), []).append(row)
    rows = [(variant, rule, mark(cell, rule)) for (variant, rule), cell in cells.items()]
    return pd.DataFrame(rows, columns=["variant", "rule", "mark"])
