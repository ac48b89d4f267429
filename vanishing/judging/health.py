"""The health rules: what can be wrong with a run, where it is worst, and by how much.

Most rules are those of Amazon SageMaker Debugger, with its thresholds as defaults; they are written
anew here, for tables of statistics rather than for tensors saved at every step. Each rule makes one
check or several. A check reduces a variant's tables to the one measured value that is worst, over
seeds, layers and time alike, says where that is, and sets it against a threshold of params.yaml.
"""

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vanishing.activations import Activation
from vanishing.judging.verdicts import FINE, NOT_APPLICABLE, PROBLEM, UNDEFINED, Row
from vanishing.params import diagnose as whole
from vanishing.params.diagnose import Diagnose
from vanishing.results.tables import select

_WORSE = {
    "below": (operator.lt, np.argmin),
    "above": (operator.gt, np.argmax),
    "at least": (operator.ge, np.argmax),
}
_FAR = np.array([-1e3, 1e3])  # where every activation of the registry has reached its asymptotes

Tables = dict[str, pd.DataFrame]


class Subject(NamedTuple):
    """A variant under examination.

    Attributes:
        name: Its name.
        activation: The registry's entry.
        classes: Number of classes.
        tables: Its own rows of each table, as in `results.TABLES`.
    """

    name: str
    activation: Activation
    classes: int
    tables: Tables


class Check(NamedTuple):
    """What a rule looks at.

    Attributes:
        quantity: In words.
        candidates: Rows with `value` and any of seed, layer, epoch and step; the worst value is
            judged.
        relation: A value that stands in this relation to the threshold is a problem.
        threshold: From params.yaml.
        any_tensor: Whether the candidates are of several tensors, so that the quantity is only
            named in full with that of the worst.
    """

    quantity: str
    candidates: pd.DataFrame
    relation: str
    threshold: float
    any_tensor: bool = False


def examine(subject: Subject, thresholds: Diagnose) -> list[Row]:
    """Apply every rule to one variant.

    Returns:
        Rows of reports/health.json: variant, rule, quantity, layer, seed, epoch, step, measured,
        relation, threshold and verdict, which is `problem`, `fine`, `undefined` where the worst
        value is NaN, or `not applicable`. What does not apply to a row is None.
    """
    rows: list[Row] = []
    for rule, look in RULES.items():
        checks = list(look(subject, getattr(thresholds, rule)))
        rows += [{"variant": subject.name, "rule": rule, **_judge(check)} for check in checks]
        if not checks:
            absent = dict.fromkeys(
                ("quantity", "layer", "seed", "epoch", "step", "measured", "relation", "threshold")
            )
            rows.append(
                {"variant": subject.name, "rule": rule, **absent, "verdict": NOT_APPLICABLE}
            )
    return rows


def _judge(check: Check) -> Row:
    compare, worst = _WORSE[check.relation]
    known = check.candidates[check.candidates["value"].notna()]
    row: dict[Any, Any] = (
        {} if known.empty else known.iloc[int(worst(known["value"].to_numpy()))].to_dict()
    )
    measured = float(row.get("value", math.nan))
    where = {key: int(row[key]) if key in row else None for key in ("seed", "epoch", "step")}
    verdict = PROBLEM if compare(measured, check.threshold) else FINE
    tensor = f" of {row['tensor']}" if check.any_tensor and row else ""
    return {
        "quantity": check.quantity + tensor,
        "layer": row.get("layer"),
        **where,
        "measured": measured,
        "relation": check.relation,
        "threshold": check.threshold,
        "verdict": UNDEFINED if math.isnan(measured) else verdict,
    }


Checks = Iterator[Check]


def _at_start(rows: pd.DataFrame) -> pd.DataFrame:
    start: int = rows["epoch"].min()
    return rows[rows["epoch"] == start]


def _vanishing_gradient(subject: Subject, limits: whole.VanishingGradient) -> Checks:
    means = select(subject.tables["layers"], "weight_gradient", "mean_abs")
    yield Check("mean |dL/dW|", means, "below", limits.mean_abs_below)


def _attenuation(subject: Subject) -> pd.DataFrame:
    start = _at_start(subject.tables["layers"])
    return select(start, "backpropagated_gradient", "attenuation")


def _vanishing_attenuation(subject: Subject, limits: whole.VanishingAttenuation) -> Checks:
    yield Check("attenuation", _attenuation(subject), "below", limits.below)


def _exploding_attenuation(subject: Subject, limits: whole.ExplodingAttenuation) -> Checks:
    yield Check("attenuation", _attenuation(subject), "above", limits.above)


def _exploding_tensor(subject: Subject, limits: whole.ExplodingTensor) -> Checks:
    layers = subject.tables["layers"]
    rows = layers[layers["statistic"] == "fraction_nonfinite"]
    yield Check("share of NaN and infinity", rows, "above", limits.nonfinite_above, any_tensor=True)


def _nonfinite_loss(subject: Subject, limits: whole.NonfiniteLoss) -> Checks:
    history = subject.tables["history"]
    losses = history[["train_loss", "test_loss", "train_loss_end"]].to_numpy()
    broken = history.assign(value=~np.isfinite(losses).all(axis=1))
    counts = broken.groupby("seed")["value"].sum().reset_index()
    yield Check("epochs with a loss that is not finite", counts, "above", limits.count_above)


def _poor_initialisation(subject: Subject, limits: whole.PoorInitialisation) -> Checks:
    layers = _at_start(subject.tables["layers"])
    variance = select(layers, "weight", "std").assign(value=lambda rows: rows["value"] ** 2)
    by_seed = variance.groupby(["seed", "epoch"])["value"]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (by_seed.max() / by_seed.min()).reset_index()
    yield Check(
        "largest over smallest variance of a layer's weights",
        ratio,
        "above",
        limits.variance_ratio_above,
    )
    high = select(layers, "weight_gradient", "q95")
    low = select(layers, "weight_gradient", "q05")
    spread = high.assign(value=high["value"].to_numpy() - low["value"].to_numpy())
    yield Check("q95 - q05 of dL/dW", spread, "below", limits.gradient_range_below)
    losses = subject.tables["losses"]
    first = losses[losses["step"] <= limits.first_steps]
    stalled = first.groupby("seed")["loss"].agg(longest_stall).rename("value").reset_index()
    yield Check(
        f"steps on end without a new lowest loss, of the first {limits.first_steps}",
        stalled,
        "at least",
        limits.stalled_from,
    )


def longest_stall(losses: pd.Series) -> int:
    """Count the longest run of losses on end of which none is below all before; NaN never is."""
    lowest, run, longest = math.inf, 0, 0
    for loss in losses:
        run = 0 if loss < lowest else run + 1
        lowest = loss if loss < lowest else lowest
        longest = max(longest, run)
    return longest


def _saturated_activation(subject: Subject, limits: whole.SaturatedActivation) -> Checks:
    if subject.activation.derivative(_FAR).any():
        return  # it does not flatten out at both ends
    units = subject.tables["units"]
    yield Check(
        f"share of units flat for more than {limits.unit_above:.0%} of the examples",
        _share_of_units(units, units["fraction_flat"] > limits.unit_above),
        "above",
        limits.layer_above,
    )


def _dead_relu(subject: Subject, limits: whole.DeadRelu) -> Checks:
    below = -np.linspace(1, 2, 3)
    if subject.activation.function(below).any():
        return  # it is zero over no range
    units = subject.tables["units"]
    yield Check(
        f"share of units active for less than {limits.unit_below:.0%} of the examples",
        _share_of_units(units, units["fraction_active"] < limits.unit_below),
        "above",
        limits.layer_above,
    )


def _share_of_units(units: pd.DataFrame, counted: pd.Series) -> pd.DataFrame:
    where = ["seed", "epoch", "step", "layer_index", "layer"]
    shares = counted.groupby([units[key] for key in where]).mean()
    return shares.rename("value").reset_index()


def _update_ratios(subject: Subject) -> pd.DataFrame:
    """Divide the norm of each traced step by that of the weights before it."""
    trace = subject.tables["trace"]
    steps, weights = (
        select(trace, tensor, "l2_norm").set_index(["seed", "layer", "step"])["value"]
        for tensor in ("update", "weight")
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (steps / weights).rename("value").reset_index()
    ends = subject.tables["history"].drop_duplicates("step").sort_values("step")
    epochs = ends["epoch"].to_numpy()[np.searchsorted(ends["step"], ratios["step"])]
    return ratios.assign(epoch=epochs)


def _update_ratio(subject: Subject, limits: whole.UpdateRatio) -> Checks:
    ratios = _update_ratios(subject)
    yield Check("size of a step over size of the weights", ratios, "above", limits.above)
    yield Check("size of a step over size of the weights", ratios, "below", limits.below)


def _all_zero(subject: Subject, limits: whole.AllZero) -> Checks:
    layers = subject.tables["layers"]
    rows = layers[layers["statistic"] == "fraction_zero"]
    yield Check("share of zeros", rows, "at least", limits.share_from, any_tensor=True)


def _unchanged_tensor(subject: Subject, limits: whole.UnchangedTensor) -> Checks:
    # Debugger compares element by element, with np.allclose; here it is in the l2 norm.
    ratios = _update_ratios(subject)
    groups = ratios.groupby(["seed", "layer"], sort=False)["value"]
    window = groups.transform(lambda values: values.rolling(limits.steps).max())
    yield Check(
        f"size of a step over size of the weights, the largest of {limits.steps} on end",
        ratios.assign(value=window),
        "below",
        limits.ratio_below,
    )


def _loss_not_decreasing(subject: Subject, limits: whole.LossNotDecreasing) -> Checks:
    # Debugger compares single losses so many steps apart, which noise alone drives up and down.
    history = subject.tables["history"].sort_values("epoch")
    ends = history.groupby("seed").agg(
        start=("train_loss", "first"), end=("train_loss", "last"), total=("step", "last")
    )
    fall = 1 - (ends["end"] / ends["start"]) ** (limits.steps / ends["total"])
    yield Check(
        f"fall of the training loss in {limits.steps} steps, the mean over training",
        fall.rename("value").reset_index(),
        "below",
        limits.share_below,
    )


def _overfit(subject: Subject, limits: whole.Overfit) -> Checks:
    history = subject.tables["history"]
    trained = history[history["epoch"] > 0]
    ratio = (trained["test_loss"] - trained["train_loss_end"]) / trained["train_loss_end"]
    yield Check(
        "(test loss - training loss) / training loss",
        trained.assign(value=ratio),
        "above",
        limits.ratio_above,
    )


def _overtraining(subject: Subject, limits: whole.Overtraining) -> Checks:
    history = subject.tables["history"].sort_values("epoch")
    for loss, patience in (
        ("train_loss", limits.train_patience),
        ("test_loss", limits.test_patience),
    ):
        waited = history.groupby("seed")[loss].agg(lambda x: epochs_since_fall(x, limits.delta))
        yield Check(
            f"epochs since the {loss.replace('_', ' ')} last fell by {limits.delta:g}",
            waited.rename("value").reset_index(),
            "at least",
            patience,
        )


def epochs_since_fall(losses: pd.Series, delta: float) -> int:
    """Count the epochs after the last one whose loss was over `delta` below the lowest before."""
    lowest, waited = math.inf, 0
    for loss in losses:
        waited = 0 if loss < lowest - delta else waited + 1
        lowest = loss if loss < lowest - delta else lowest
    return waited


def _at_chance(subject: Subject, limits: whole.AtChance) -> Checks:
    history = subject.tables["history"]
    last = history[history["epoch"] == history["epoch"].max()]
    yield Check(
        "test accuracy at the end",
        last.assign(value=last["test_accuracy"]),
        "below",
        1 / subject.classes + limits.margin,
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
