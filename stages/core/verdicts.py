"""The verdict on a variant: what its gradient does at initialisation, what training made of it."""

import math

from stages.core.params import Diagnose


def gradient_verdict(attenuation_init: float, thresholds: Diagnose) -> str:
    """Name what the gradient does on its way from the last hidden layer to the first.

    Args:
        attenuation_init: The attenuation at initialisation, as in `results.attenuation`.
        thresholds: Where a verdict turns.

    Returns:
        `vanishing`, `exploding`, `steady`, or `not finite` where the attenuation is no number.
    """
    if not math.isfinite(attenuation_init):
        return "not finite"
    if attenuation_init < thresholds.vanishing_below:
        return "vanishing"
    if attenuation_init > thresholds.exploding_above:
        return "exploding"
    return "steady"


def training_verdict(
    losses: list[float], test_accuracy: float, classes: int, thresholds: Diagnose
) -> str:
    """Name what training made of the network.

    Args:
        losses: The training losses of all epochs.
        test_accuracy: At the end.
        classes: How many there are; guessing gets 1 / `classes` right.
        thresholds: Where a verdict turns.

    Returns:
        `diverged` where a loss is NaN or infinite, else `at chance` or `learned`.
    """
    if not all(math.isfinite(loss) for loss in losses):
        return "diverged"
    if test_accuracy < 1 / classes + thresholds.chance_margin:
        return "at chance"
    return "learned"
