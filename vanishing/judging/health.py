"""The health rules: what can be wrong with a variant, at which location, and by how much.

Most rules are those of Amazon SageMaker Debugger, with its thresholds as defaults. They are written
anew, for tables of statistics rather than for tensors saved at every step. A rule makes one check
or several. A check reduces a variant's tables to the worst value over seeds, layers and time, and
holds it against a threshold of params.yaml.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from vanishing.activations import Activation
from vanishing.judging.checks import Check, judge_rule
from vanishing.judging.effects import Tables
from vanishing.judging.kinds import NOTE, in_order
from vanishing.judging.limits import Limit
from vanishing.judging.through_time import attenuation_by_state
from vanishing.judging.verdicts import Row
from vanishing.params import diagnose
from vanishing.results.tables import select, select_weight_gradients

_ASYMPTOTES = np.array([-1e3, 1e3])  # every activation of the registry has reached them there

Checks = Iterator[Check]


@dataclass(frozen=True)
class Subject:
    """A variant that is examined.

    Attributes:
        name: Of the variant.
        activation: The registry's entry of the activation of all hidden layers; None where they
            may have several, and what they do to each unit decides.
        classes: Number of classes.
        tables: {table: the variant's rows}.
    """

    name: str
    activation: Activation | None
    classes: int
    tables: Tables

    @cached_property
    def update_ratios(self) -> pd.DataFrame:
        """‖step‖ / ‖W before it‖ by seed, layer, matrix and traced step, with the step's epoch."""
        trace = self.tables["trace"]
        is_weight = trace["tensor"].str.fullmatch(r"update|(\w+_)?weight(_\w+)?_update")
        ratios = trace[(trace["statistic"] == "ratio") & is_weight]
        ends = self.tables["history"].drop_duplicates("step").sort_values("step")
        epochs = ends["epoch"].to_numpy()[np.searchsorted(ends["step"], ratios["step"])]
        return ratios.assign(epoch=epochs)


def examine(subject: Subject, thresholds: diagnose.Diagnose) -> list[Row]:
    """Apply every rule to one variant.

    Args:
        subject: The variant.
        thresholds: Those of params.yaml, by rule.

    Returns:
        Rows of reports/health.json, numbers not rounded, the gravest kind of rules first: variant,
        rule, kind, and what `checks.judge` returns. The verdict is `problem`, `fine`, `undefined`
        where all values are NaN, or `not applicable`.
    """
    rows = []
    for rule in in_order(RULES):
        checks = RULES[rule](subject, getattr(thresholds, rule))
        if subject.activation is None:  # not every network has what every rule looks at
            checks = (check for check in checks if len(check.candidates))
        rows += [{"variant": subject.name, **row} for row in judge_rule(rule, checks)]
    return rows


def _at_first_snapshot(rows: pd.DataFrame) -> pd.DataFrame:
    first: int = rows["epoch"].min()
    return rows[rows["epoch"] == first]


def _vanishing_gradient(subject: Subject, rule: diagnose.VanishingGradient) -> Checks:
    gradients = select_weight_gradients(subject.tables["layers"])
    means = gradients[gradients["statistic"] == "mean_abs"]
    yield Check("mean |dL/dW|", means, Limit("<", rule.mean_abs_below))


def _attenuation(subject: Subject, limit: Limit) -> Checks:
    layers = _at_first_snapshot(subject.tables["layers"])
    yield Check("attenuation", select(layers, "backpropagated_gradient", "attenuation"), limit)
    states = attenuation_by_state(layers)
    if len(states):
        yield Check("attenuation through time", states, limit)


def _vanishing_attenuation(subject: Subject, rule: diagnose.VanishingAttenuation) -> Checks:
    return _attenuation(subject, Limit("<", rule.below))


def _exploding_attenuation(subject: Subject, rule: diagnose.ExplodingAttenuation) -> Checks:
    return _attenuation(subject, Limit(">", rule.above))


def _exploding_tensor(subject: Subject, rule: diagnose.ExplodingTensor) -> Checks:
    layers = subject.tables["layers"]
    shares = layers[layers["statistic"] == "fraction_nonfinite"]
    limit = Limit(">", rule.nonfinite_above)
    yield Check("share of NaN and infinity", shares, limit, name_tensor=True)


def _nonfinite_loss(subject: Subject, rule: diagnose.NonfiniteLoss) -> Checks:
    history = subject.tables["history"]
    losses = history[["train_loss", "test_loss", "train_loss_end"]].to_numpy()
    nonfinite = history.assign(value=~np.isfinite(losses).all(axis=1))
    counts = nonfinite.groupby("seed")["value"].sum().reset_index()
    yield Check("epochs with a loss that is not finite", counts, Limit(">", rule.count_above))


def _poor_initialisation(subject: Subject, rule: diagnose.PoorInitialisation) -> Checks:
    layers = _at_first_snapshot(subject.tables["layers"])
    yield Check(
        "largest over smallest variance of a layer's weights",
        _variance_ratio(layers),
        Limit(">", rule.variance_ratio_above),
        kind=NOTE,
    )
    high = select(layers, "weight_gradient", "q95")
    low = select(layers, "weight_gradient", "q05")
    spread = high.assign(value=high["value"].to_numpy() - low["value"].to_numpy())
    limit = Limit("<", rule.gradient_range_below)
    yield Check("q95 - q05 of dL/dW", spread, limit, kind=NOTE)
    losses = subject.tables["losses"]
    first = losses[losses["step"] <= rule.first_steps]
    stalls = first.groupby("seed")["loss"].agg(longest_stall).rename("value").reset_index()
    yield Check(
        f"consecutive steps without a new lowest loss, of the first {rule.first_steps}",
        stalls,
        Limit(">=", rule.stalled_from),
    )


def _variance_ratio(layers: pd.DataFrame) -> pd.DataFrame:
    variances = select(layers, "weight", "std").assign(value=lambda rows: rows["value"] ** 2)
    by_seed = variances.groupby(["seed", "epoch"])["value"]
    with np.errstate(divide="ignore", invalid="ignore"):
        return (by_seed.max() / by_seed.min()).reset_index()


def longest_stall(losses: pd.Series) -> int:
    """Count the most consecutive losses that are not below all losses before them.

    NaN is not below anything.

    Returns:
        The count.
    """
    lowest, stall, longest = math.inf, 0, 0
    for loss in losses:
        stall = 0 if loss < lowest else stall + 1
        lowest = loss if loss < lowest else lowest
        longest = max(longest, stall)
    return longest


def _saturated_activation(subject: Subject, rule: diagnose.SaturatedActivation) -> Checks:
    units = subject.tables["units"]
    if subject.activation is None:
        # An activation that is exactly 0 for some examples is flat there by design.
        units = units[units.groupby("layer")["fraction_active"].transform("min") == 1]
    elif subject.activation.derivative(_ASYMPTOTES).any():
        return  # it does not flatten out at both ends
    yield Check(
        f"share of units flat for more than {rule.unit_above:.0%} of the examples",
        _share_of_units(units, units["fraction_flat"] > rule.unit_above),
        Limit(">", rule.layer_above),
    )


def _dead_relu(subject: Subject, rule: diagnose.DeadRelu) -> Checks:
    units = subject.tables["units"]
    if subject.activation and subject.activation.function(-np.linspace(1, 2, 3)).any():
        return  # it is not zero over a range
    yield Check(
        f"share of units active for less than {rule.unit_below:.0%} of the examples",
        _share_of_units(units, units["fraction_active"] < rule.unit_below),
        Limit(">", rule.layer_above),
    )


def _share_of_units(units: pd.DataFrame, counted: pd.Series) -> pd.DataFrame:
    keys = ["seed", "epoch", "step", "layer_index", "layer"]
    shares = counted.groupby([units[key] for key in keys]).mean()
    return shares.rename("value").reset_index()


def _update_ratio(subject: Subject, rule: diagnose.UpdateRatio) -> Checks:
    quantity = "size of a step over size of the weights"
    yield Check(quantity, subject.update_ratios, Limit(">", rule.above))
    yield Check(quantity, subject.update_ratios, Limit("<", rule.below))


def _all_zero(subject: Subject, rule: diagnose.AllZero) -> Checks:
    layers = subject.tables["layers"]
    shares = layers[layers["statistic"] == "fraction_zero"]
    yield Check("share of zeros", shares, Limit(">=", rule.share_from), name_tensor=True)


def _unchanged_tensor(subject: Subject, rule: diagnose.UnchangedTensor) -> Checks:
    # Debugger compares element by element, with np.allclose; this compares l2 norms.
    ratios = subject.update_ratios
    by_layer = ratios.groupby(["seed", "layer", "tensor"], sort=False)["value"]
    largest = by_layer.transform(lambda values: values.rolling(rule.steps).max())
    yield Check(
        "size of a step over size of the weights,"
        f" the largest of {rule.steps} consecutive traced steps",
        ratios.assign(value=largest),
        Limit("<", rule.ratio_below),
    )


def _loss_not_decreasing(subject: Subject, rule: diagnose.LossNotDecreasing) -> Checks:
    # Debugger compares single losses so many steps apart, which noise alone drives up and down.
    history = subject.tables["history"].sort_values("epoch")
    ends = history.groupby("seed").agg(
        start=("train_loss", "first"), end=("train_loss", "last"), total=("step", "last")
    )
    fall = 1 - (ends["end"] / ends["start"]) ** (rule.steps / ends["total"])
    yield Check(
        f"fall of the training loss in {rule.steps} steps, the mean over training",
        fall.rename("value").reset_index(),
        Limit("<", rule.share_below),
    )


def _overfit(subject: Subject, rule: diagnose.Overfit) -> Checks:
    history = subject.tables["history"]
    trained = history[history["epoch"] > 0]
    ratio = (trained["test_loss"] - trained["train_loss_end"]) / trained["train_loss_end"]
    yield Check(
        "(test loss - training loss) / training loss",
        trained.assign(value=ratio),
        Limit(">", rule.ratio_above),
    )


def _overtraining(subject: Subject, rule: diagnose.Overtraining) -> Checks:
    by_seed = subject.tables["history"].sort_values("epoch").groupby("seed")
    for loss, patience in (
        ("train_loss", rule.train_patience),
        ("test_loss", rule.test_patience),
    ):
        epochs = by_seed[loss].agg(lambda losses: epochs_since_fall(losses, rule.delta))
        yield Check(
            f"epochs since the {loss.replace('_', ' ')} last fell by {rule.delta:g}",
            epochs.rename("value").reset_index(),
            Limit(">=", patience),
        )


def epochs_since_fall(losses: pd.Series, delta: float) -> int:
    """Count the epochs after the last one whose loss was over `delta` below the lowest before."""
    lowest, epochs = math.inf, 0
    for loss in losses:
        epochs = 0 if loss < lowest - delta else epochs + 1
        lowest = loss if loss < lowest - delta else lowest
    return epochs


def _at_chance(subject: Subject, rule: diagnose.AtChance) -> Checks:
    history = subject.tables["history"]
    last = history[history["epoch"] == history["epoch"].max()]
    yield Check(
        "test accuracy at the end",
        last.assign(value=last["test_accuracy"]),
        Limit("<", 1 / subject.classes + rule.margin),
    )


RULES: dict[str, Callable[[Subject, Any], Checks]] = {
    "vanishing_gradient": _vanishing_gradient,
    "vanishing_attenuation": _vanishing_attenuation,
    "exploding_attenuation": _exploding_attenuation,
    "exploding_tensor": _exploding_tensor,
    "nonfinite_loss": _nonfinite_loss,
    "poor_initialisation": _poor_initialisation,
    "saturated_activation": _saturated_activation,
    "dead_relu": _dead_relu,
    "update_ratio": _update_ratio,
    "all_zero": _all_zero,
    "unchanged_tensor": _unchanged_tensor,
    "loss_not_decreasing": _loss_not_decreasing,
    "overfit": _overfit,
    "overtraining": _overtraining,
    "at_chance": _at_chance,
}
