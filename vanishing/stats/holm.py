"""Holm's correction of p-values for the number of hypotheses (Holm 1979)."""

import math
from collections.abc import Sequence


def adjust(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values: a hypothesis is rejected at level α where its own is at most α.

    The chance that any true hypothesis of all of them is rejected is then at most α, however they
    depend on one another. With p_(1) ≤ … ≤ p_(m), adjusted p_(i) = max over j ≤ i of
    min(1, (m - j + 1) · p_(j)).

    Args:
        p_values: Of m hypotheses; NaN counts as 1, that is as a hypothesis that is not rejected.

    Returns:
        The adjusted ones, in the same order; NaN for NaN.
    """
    order = sorted(range(len(p_values)), key=lambda i: _or_one(p_values[i]))
    adjusted = [math.nan] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * _or_one(p_values[index])))
        if not math.isnan(p_values[index]):
            adjusted[index] = largest
    return adjusted


def _or_one(p: float) -> float:
    return 1.0 if math.isnan(p) else p
