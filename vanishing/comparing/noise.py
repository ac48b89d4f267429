"""How far a number moves without a cause: by rounding, and by the chance of seeds.

The rule and the sources of its constants are in docs/decisions/0013.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from vanishing.results.summaries import DIGITS

Kind = Literal[
    "value", "accuracy", "gap", "gradient", "share of gradients", "saturation", "hop error", "bin"
]


class Factors(NamedTuple):
    """The bounds of one kind of number, in units of its scale.

    Attributes:
        initial: Of what is measured at initialisation.
        trained: After training, in a smooth network.
        growing: After training, where rounding grows from step to step.
    """

    initial: float
    trained: float
    growing: float


_FACTORS: dict[Kind, Factors] = {
    "value": Factors(4e-6, 1e-5, 0.15),
    "accuracy": Factors(0, 0, 0.003),
    "gap": Factors(4e-6, 2e-5, 0.15),
    "gradient": Factors(4e-6, 1e-5, 0.6),
    "share of gradients": Factors(4e-6, 1e-5, 0.6),
    "saturation": Factors(4e-6, 1e-5, 0.005),
    "hop error": Factors(8e-6, 8e-6, 8e-6),
    "bin": Factors(0.5, 0.5, 0.5),
}
_KINDS: dict[str, Kind] = {  # by the beginning of a metric's name; the others are values
    "test_accuracy": "accuracy",
    "train_accuracy": "accuracy",
    "generalization_gap": "gap",
    "attenuation_": "gradient",
    "time_attenuation_": "gradient",
    "gradient_norm_": "gradient",
    "weight_gradient_ratio_": "gradient",
    "gradient_outside_share_": "share of gradients",
    "saturation_": "saturation",
    "hop_deviation": "hop error",
    "time_hop_deviation": "hop error",
    "gradient_median_magnitude_": "bin",
}
_SHARES = ("accuracy", "saturation", "hop error")  # whose scale is 1
_INITIAL = ("_init", "_start", "_fresh", "_theory", "_deviation")  # how the names of metrics end

# The 97.5 % quantile of Student's t with 1, 2, … degrees of freedom; beyond them the last is taken,
# which makes an interval a little too wide.
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


class Network(NamedTuple):
    """What bounds depend on, of one variant.

    Attributes:
        grows: Whether rounding grows while it trains.
        images: {`train` or `test`: how many images the accuracy is a share of}.
    """

    grows: bool
    images: Mapping[str, int]


def network(params: Mapping[str, Any], variant: str) -> Network:
    """Look up a variant in params.yaml.

    Rounding grows where a network has a kink or large weights, or comes from a function; where an
    optimizer divides by what rounding is a large part of; where all is rounded to bfloat16; and of
    an unknown variant.

    Returns:
        What bounds depend on.
    """
    settings = params.get("variants", {}).get(variant, {})
    training = params.get("train", {}) | settings
    plain = training.get("optimizer", {}).get("name", "sgd") == "sgd"
    plain &= training.get("precision", "float32") == "float32"
    smooth = settings.get("activation", "relu") != "relu" and settings.get("init") != "normal"
    data = params.get("data", {})
    images = {split: data.get(f"{split}_examples", 1) for split in ("train", "test")}
    return Network("network" in settings or not smooth or not plain, images)


def kind(metric: str) -> Kind:
    """Return the kind of a metric, by its name."""
    return next((kind for start, kind in _KINDS.items() if metric.startswith(start)), "value")


class Rounding(NamedTuple):
    """What rounding explains of the difference of one number.

    Attributes:
        scale: The size that differences are set against.
        bound: The largest difference.
        grows: Whether it is that of a network in which rounding grows from step to step.
    """

    scale: float
    bound: float
    grows: bool


def rounding(
    metric: str, before: Mapping[str, Any], after: Mapping[str, Any], where: Network
) -> Rounding:
    """Return how far rounding may move a metric.

    Args:
        metric: Its name.
        before: {metric: number} of a variant; this one is finite.
        after: The same, afterwards.
        where: The network.

    Returns:
        The scale and the bound, which includes one unit of the last digit that the files have.
    """
    of_kind = kind(metric)
    factors = _FACTORS[of_kind]
    initial = metric.endswith(_INITIAL)
    grows = where.grows and not initial
    factor = factors.initial if initial else factors.growing if grows else factors.trained
    values = [abs(before[metric]), abs(after[metric])]
    scale = max(values)
    if of_kind in _SHARES or (of_kind == "share of gradients" and not grows):
        scale = 1.0
    elif of_kind == "gap":
        scale = max([scale, *(numbers.get("test_loss") or 0.0 for numbers in (before, after))])
    if of_kind == "accuracy":  # one image at a boundary may change sides in any network
        factor = max(factor, 1 / where.images[metric.partition("_")[0]])
    return Rounding(scale, factor * scale + last_digit(max(values)), grows)


def last_digit(value: float) -> float:
    """Return one unit of the last digit with which a number is written; 0 for 0."""
    return 10.0 ** (math.floor(math.log10(value)) - DIGITS + 1) if value else 0.0


def paired_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return Student's 95 % interval of the mean of paired differences.

    Args:
        differences: One per seed, of two seeds or more.

    Returns:
        The lower and the upper end.
    """
    count = len(differences)
    mean, std = float(np.mean(differences)), float(np.std(differences, ddof=1))
    half = _T[min(count - 2, len(_T) - 1)] * std / math.sqrt(count)
    return mean - half, mean + half


def overlap(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Tell whether the attenuations over fresh initialisations differ by no more than chance.

    Args:
        before: The numbers of a variant.
        after: The same, afterwards.

    Returns:
        Whether the logarithms differ by at most the root of the sum of both half-widths' squares.
        False where an interval is missing.
    """
    keys = ("attenuation_fresh", "attenuation_fresh_low", "attenuation_fresh_high")
    numbers = [[of_side.get(key) for key in keys] for of_side in (before, after)]
    if not all(value and value > 0 for side in numbers for value in side):
        return False
    (mean, low, high), (other, other_low, other_high) = np.log(np.array(numbers, dtype=float))
    half_widths = (high - low) / 2, (other_high - other_low) / 2
    return bool(abs(mean - other) <= math.hypot(*half_widths))
