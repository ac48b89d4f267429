"""Judge every variant: `python -m stages.diagnose`.

In: params.yaml (`diagnose`, `variants`), every variant's history, trace and statistics. Out:
reports/metrics.json (DVC metrics, by variant) and reports/plots/*.csv (for `dvc plots`).
"""

import argparse
import math
import sys
from typing import Any

import numpy as np
import pandas as pd

from stages.core import params, results, run, verdicts
from stages.core.errors import run_command
from stages.core.files import REPORTS, write_json, write_text
from stages.core.params import Diagnose
from stages.core.results import select

DIGITS = 6  # significant, in all that is written here


def main(argv: list[str]) -> None:
    """Judge the variants of params.yaml."""
    argparse.ArgumentParser(prog="python -m stages.diagnose", description=__doc__).parse_args(argv)
    settings = params.load()
    names = list(settings.variants)
    results.remove_leftovers(names)
    history, layers = results.history(names), results.layers(names)
    histograms, trace = results.histograms(names), results.trace(names)
    theory = results.theory(names)
    metrics: dict[str, dict[str, Any]] = {}
    for name in names:
        own = (frame[frame["variant"] == name] for frame in (history, layers, histograms, trace))
        depth = settings.variants[name].depth
        measured = measure(*own) | compare(theory[theory["variant"] == name], depth)
        losses = history.loc[history["variant"] == name, "train_loss"].tolist()
        metrics[name] = rounded(measured) | {
            "verdict": judge(measured, losses, run.load(name).classes, settings.diagnose)
        }
    write_json(results.METRICS, metrics)
    write_text(REPORTS / "plots" / "curves.csv", curves(history))
    write_text(REPORTS / "plots" / "gradients.csv", gradients(layers))


def measure(
    history: pd.DataFrame, layers: pd.DataFrame, histograms: pd.DataFrame, trace: pd.DataFrame
) -> dict[str, float]:
    """Reduce one variant's tables to a few numbers, each a mean over the seeds.

    - `test_accuracy`, `test_loss`, `train_accuracy`, `train_loss`: after the last epoch (the
      training figures are running means over that epoch)
    - `generalization_gap`: test loss minus training loss, in nats
    - `attenuation_init`, `attenuation_final`: at the first and the last snapshot
    - `weight_gradient_ratio_init`: rms of dL/dW in the first layer over the last hidden one
    - `gradient_median_magnitude_init`: median |dL/dW| of the first layer, to a factor of √2: the
      geometric middle of the power-of-two bin that holds it
    - `gradient_outside_share_init`, `_final`: share of all dL/dW that is not between -0.02 and
      0.02, the two bins of the article's histogram around zero
    - `activation_std_first_init`, `activation_std_last_init`: in the first and last hidden layer
    - `gradient_norm_first_start`, `_end`: ‖dL/dW‖ of the first layer at the first and last step
      that the trace has

    Returns:
        {metric: value}, not rounded.
    """
    last = history[history["epoch"] == history["epoch"].max()].mean(numeric_only=True)
    first_epoch, last_epoch = layers["epoch"].min(), layers["epoch"].max()
    attenuation = results.attenuation(layers).groupby("epoch").mean()
    weights = results.first_over_last_hidden(layers, "weight_gradient", "rms")
    std = select(layers[layers["epoch"] == first_epoch], "activation", "std")
    by_layer = std.groupby("layer_index")["value"].mean()
    gradients = histograms[histograms["tensor"] == "weight_gradient"]
    norms = trace[(trace["layer_index"] == 0) & (trace["tensor"] == "weight_gradient")]
    by_step = norms.groupby("step")["value"].mean()
    return {
        **{key: float(last[key]) for key in ("test_accuracy", "test_loss")},
        **{key: float(last[key]) for key in ("train_accuracy", "train_loss")},
        "generalization_gap": float(last["test_loss"] - last["train_loss"]),
        "attenuation_init": float(attenuation.loc[first_epoch]),
        "attenuation_final": float(attenuation.loc[last_epoch]),
        "weight_gradient_ratio_init": float(weights.groupby("epoch").mean().loc[first_epoch]),
        "gradient_median_magnitude_init": median_magnitude(
            gradients[(gradients["epoch"] == first_epoch) & (gradients["layer_index"] == 0)]
        ),
        "gradient_outside_share_init": outside_share(gradients[gradients["epoch"] == first_epoch]),
        "gradient_outside_share_final": outside_share(gradients[gradients["epoch"] == last_epoch]),
        "activation_std_first_init": float(by_layer.iloc[0]),
        "activation_std_last_init": float(by_layer.iloc[-1]),
        "gradient_norm_first_start": float(by_step.iloc[0]),
        "gradient_norm_first_end": float(by_step.iloc[-1]),
    }


def compare(theory: pd.DataFrame, depth: int) -> dict[str, float]:
    """Reduce one variant's theory.parquet to a few numbers, at its own depth.

    - `attenuation_theory`: as mean-field theory predicts it
    - `attenuation_fresh`, `_low`, `_high`: measured over fresh initialisations, with its interval
    - `hop_theory`, `hop_fresh`: geometric means over the hops
    - `hop_deviation`: the largest |measured / predicted - 1| of a hop

    Returns:
        {metric: value}; NaN where there is no theory, or no hop.
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
        "hop_theory": _geometric_mean(hops["predicted"]),
        "hop_fresh": _geometric_mean(hops["measured"]),
        "hop_deviation": float(deviation),
    }


def _geometric_mean(values: pd.Series) -> float:
    if values.empty:
        return math.nan
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(values.to_numpy(dtype=float)).mean()))


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


def judge(
    measured: dict[str, float], losses: list[float], classes: int, thresholds: Diagnose
) -> str:
    """Put the verdict on the gradient and that on training into one."""
    gradient = verdicts.gradient_verdict(measured["attenuation_init"], thresholds)
    accuracy = measured["test_accuracy"]
    return f"{gradient}, {verdicts.training_verdict(losses, accuracy, classes, thresholds)}"


def rounded(measured: dict[str, float]) -> dict[str, float | None]:
    """Round to DIGITS significant digits; NaN and infinities become None, JSON's null."""
    return {
        key: float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
        for key, value in measured.items()
    }


def curves(history: pd.DataFrame) -> str:
    """Return losses and accuracies by variant and epoch, mean over the seeds, as CSV."""
    mean = history.groupby(["variant", "epoch"], sort=False).mean(numeric_only=True)
    return _csv(mean.drop(columns=["seed", "step"]).reset_index())


def gradients(layers: pd.DataFrame) -> str:
    """Return rms(dL/dz) by variant, snapshot and layer, mean over the seeds, as CSV."""
    rms = select(layers, "backpropagated_gradient", "rms")
    mean = rms.groupby(["variant", "epoch", "layer_index"], sort=False)["value"].mean()
    return _csv(mean.rename("rms").reset_index())


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n")


if __name__ == "__main__":
    sys.exit(run_command(main))
