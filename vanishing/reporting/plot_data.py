"""What each figure shows, as a frame: computed here, so that drawing computes nothing."""

from typing import Any

import numpy as np
import pandas as pd

from vanishing.judging import verdicts
from vanishing.results.tables import select

SMALLEST_SHARE = 1e-3  # of a layer's weight gradients, for a bin to be drawn


def gradient_histogram(histograms: pd.DataFrame) -> pd.DataFrame:
    """Count dL/dW of all layers in the linear bins: the article's histogram, per snapshot.

    Returns:
        Columns epoch, bin_left, bin_right, count; only bins within (-1, 1).
    """
    rows = histograms[
        (histograms["tensor"] == "weight_gradient")
        & (histograms["scale"] == "linear")
        & np.isfinite(histograms["bin_left"])
        & np.isfinite(histograms["bin_right"])
    ]
    counts = rows.groupby(["epoch", "bin_left", "bin_right"])["count"].sum()
    return pd.DataFrame(counts.reset_index())


def gradient_distributions(histograms: pd.DataFrame, tensor: str) -> pd.DataFrame:
    """Give the share of |x| per power of two, per variant and layer, at initialisation.

    Zeros, infinities and NaN have no place on a logarithmic axis: they count in the total, so
    that the shares shown fall short of 1 by theirs. So do bins that hold less than a thousandth
    of a layer: thin tails reach down to 1e-40 and would leave no room for the rest. A layer of
    which nothing is shown has one row, of NaN.

    Returns:
        Columns variant, layer_index, share, log10_left, log10_right.
    """
    rows = histograms[
        (histograms["tensor"] == tensor)
        & (histograms["scale"] == "log2")
        & (histograms["epoch"] == histograms["epoch"].min())
    ]
    total = rows.groupby(["variant", "layer_index"])["count"].transform("sum")
    shown = (rows["bin_left"] > 0) & np.isfinite(rows["bin_right"])
    bins = rows.assign(share=rows["count"] / total)[shown]
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
    """Give the share of φ(z) per linear bin, per variant and layer, at initialisation.

    Returns:
        Columns variant, layer_index, bin_left, bin_right, share; only bins within (-1, 1).
    """
    rows = histograms[
        (histograms["tensor"] == "activation")
        & (histograms["scale"] == "linear")
        & (histograms["epoch"] == histograms["epoch"].min())
    ]
    total = rows.groupby(["variant", "layer_index"])["count"].transform("sum")
    shown = np.isfinite(rows["bin_left"]) & np.isfinite(rows["bin_right"])
    bins = rows.assign(share=rows["count"] / total)[shown]
    keys = ["variant", "layer_index", "bin_left", "bin_right"]
    return pd.DataFrame(bins.groupby(keys, sort=False)["share"].sum().reset_index())


def activation_quantiles(layers: pd.DataFrame) -> pd.DataFrame:
    """Give the quantiles of φ(z) per variant and layer at initialisation, mean over the seeds.

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


def gradient_decay(layers: pd.DataFrame) -> pd.DataFrame:
    """Give rms(dL/dz) per variant, layer and snapshot (first and last), mean over the seeds.

    Returns:
        Columns variant, epoch, layer_index, rms.
    """
    rms = select(layers, "backpropagated_gradient", "rms")
    ends = rms[rms["epoch"].isin([rms["epoch"].min(), rms["epoch"].max()])]
    mean = ends.groupby(["variant", "epoch", "layer_index"], sort=False)["value"].mean()
    return mean.rename("rms").reset_index()


def attenuation_by_depth(theory: pd.DataFrame) -> pd.DataFrame:
    """Give the attenuation at initialisation per variant and depth, predicted and measured.

    Returns:
        Columns variant, depth, predicted, measured, low, high, n; NaN where there is no theory.
    """
    rows = theory[theory["quantity"] == "attenuation"]
    columns = ["variant", "depth", "predicted", "measured", "low", "high", "n"]
    return rows[columns].sort_values("depth", kind="stable")


def attenuation_by_variant(metrics: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Give the attenuation at initialisation of every variant, over fresh initialisations.

    Returns:
        Columns variant, predicted, measured, low, high; NaN where there is no such number.
    """
    keys = {
        "predicted": "attenuation_theory",
        "measured": "attenuation_fresh",
        "low": "attenuation_fresh_low",
        "high": "attenuation_fresh_high",
    }
    found = {new: [own[old] for own in metrics.values()] for new, old in keys.items()}
    return pd.DataFrame({"variant": list(metrics), **found}).astype(dict.fromkeys(keys, float))


def saturation(layers: pd.DataFrame) -> pd.DataFrame:
    """Give the share of saturated z per variant, hidden layer and snapshot, mean over the seeds.

    Returns:
        Columns variant, layer_index, epoch, share.
    """
    rows = select(layers, "preactivation", "saturation")
    mean = rows.groupby(["variant", "layer_index", "epoch"], sort=False)["value"].mean()
    return mean.rename("share").reset_index()


def generalization_gap(history: pd.DataFrame) -> pd.DataFrame:
    """Give test loss minus training loss per variant and epoch, mean over the seeds.

    Returns:
        Columns variant, epoch, gap.
    """
    gap = history.assign(gap=history["test_loss"] - history["train_loss_end"])
    return gap.groupby(["variant", "epoch"], sort=False)["gap"].mean().reset_index()


def health_matrix(checks: list[dict[str, Any]]) -> pd.DataFrame:
    """Sum up what each rule found in each variant.

    Returns:
        Columns variant, rule, verdict, in the order of `checks`.
    """
    keys = dict.fromkeys((row["variant"], row["rule"]) for row in checks)
    rows = [
        (name, rule, verdicts.verdict([row for row in checks if row["variant"] == name], rule))
        for name, rule in keys
    ]
    return pd.DataFrame(rows, columns=["variant", "rule", "verdict"])


def learning_curves(history: pd.DataFrame) -> pd.DataFrame:
    """Give training loss and test accuracy per variant and epoch, mean over the seeds.

    Returns:
        Columns variant, epoch, train_loss, test_accuracy.
    """
    by_epoch = history.groupby(["variant", "epoch"], sort=False)
    return by_epoch[["train_loss", "test_accuracy"]].mean().reset_index()


def losses(history: pd.DataFrame) -> pd.DataFrame:
    """Give training and test loss of the same weights by epoch, mean over the seeds.

    Returns:
        Columns epoch, variant (train or test) and loss.
    """
    mean = history.groupby("epoch")[["train_loss_end", "test_loss"]].mean()
    named = mean.rename(columns={"train_loss_end": "train", "test_loss": "test"})
    return named.reset_index().melt("epoch", var_name="variant", value_name="loss")


def gradient_trace(trace: pd.DataFrame) -> pd.DataFrame:
    """Give log10 ‖dL/dW‖ per variant, step and layer, of the mean over the seeds.

    Returns:
        Columns variant, step, layer_index, log10_norm; -inf where the norm is 0.
    """
    rows = select(trace, "weight_gradient", "l2_norm")
    mean = rows.groupby(["variant", "step", "layer_index"], sort=False)["value"].mean()
    with np.errstate(divide="ignore"):
        log10 = pd.Series(np.log10(mean.to_numpy()), index=mean.index, name="log10_norm")
    return log10.reset_index()
