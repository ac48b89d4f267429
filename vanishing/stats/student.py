"""Student's t distribution (Student 1908), and what it says of the mean of a few numbers.

The numbers are independent draws, one per training seed: a difference of two variants is taken seed
by seed first. NumPy has no quantiles of t, and SciPy is no dependency of the library: for whole
degrees of freedom the distribution function is a finite sum (Abramowitz & Stegun 1964, 26.7.3 and
26.7.4), and the quantile follows from it by bisection.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95  # of an interval
POWER = 0.8

_HALVINGS = 200  # more than a float64 has digits


class MeanInterval(NamedTuple):
    """A mean with its interval.

    Attributes:
        low: The lower end, at LEVEL.
        high: The upper end.
        standard_error: s/√n, s being the standard deviation with n - 1 in the denominator.
        degrees: Of freedom: n - 1.
    """

    low: float
    high: float
    standard_error: float
    degrees: int


def cdf(t: float, degrees: int) -> float:
    """Return P(T ≤ t) of Student's t.

    Args:
        t: A number, or an infinity.
        degrees: Of freedom, 1 or more.

    Returns:
        The probability, exact to about 1e-15; NaN where t is.
    """
    if math.isinf(t):
        return float(t > 0)
    angle = math.atan2(t, math.sqrt(degrees))
    sine, cosine_squared = math.sin(angle), math.cos(angle) ** 2
    # P(-t ≤ T ≤ t), negative for t < 0: a sum over the powers of cos² below degrees / 2.
    if degrees % 2:
        term = sine * math.cos(angle)
        total = 0.0
        for k in range(1, (degrees - 1) // 2 + 1):
            total += term
            term *= cosine_squared * 2 * k / (2 * k + 1)
        central = 2 / math.pi * (angle + total)
    else:
        term = sine
        total = 0.0
        for k in range(1, degrees // 2 + 1):
            total += term
            term *= cosine_squared * (2 * k - 1) / (2 * k)
        central = total
    return 0.5 + central / 2


def quantile(probability: float, degrees: int) -> float:
    """Return the t with P(T ≤ t) = probability.

    Args:
        probability: Above 0 and below 1.
        degrees: Of freedom, 1 or more.

    Returns:
        The quantile, to about twelve digits where `probability` is not within 1e-9 of 0 or 1.
    """
    high = 1.0
    while cdf(high, degrees) < max(probability, 1 - probability):
        high *= 2
    low = -high
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle, degrees) < probability else (low, middle)
    return (low + high) / 2


def mean_interval(values: NDArray[np.float64]) -> MeanInterval:
    """Return the 95 % interval of a mean: m ± t_{0.975, n-1} · s/√n.

    Args:
        values: (n,), n of at least 2.

    Returns:
        The interval; NaN where a value is NaN or infinite.
    """
    degrees = len(values) - 1
    with np.errstate(invalid="ignore"):
        mean = float(values.mean())
        error = float(values.std(ddof=1)) / math.sqrt(len(values))
    half = quantile((1 + LEVEL) / 2, degrees) * error
    return MeanInterval(mean - half, mean + half, error, degrees)


def p_above(values: NDArray[np.float64], limit: float) -> float:
    """Return the one-sided p of the null hypothesis that the mean is at most `limit`.

    P(T ≥ (m - limit) / (s/√n)) with n - 1 degrees of freedom. Where all values are equal, it is 0
    if they are above the limit, else 1.

    Args:
        values: (n,), n of at least 2.
        limit: That the mean is held against.

    Returns:
        The probability; NaN where a value is NaN or infinite.
    """
    interval = mean_interval(values)
    distance = float(values.mean()) - limit
    if interval.standard_error == 0:
        return float(distance <= 0)
    return cdf(-distance / interval.standard_error, interval.degrees)


def detectable(values: NDArray[np.float64]) -> float:
    """Return the smallest distance from a limit that so many numbers would mostly have shown.

    (t_{0.975, n-1} + t_{0.8, n-1}) · s/√n: a mean so far from the limit is beyond it in a two-sided
    test at 5 % with a probability of 80 % (Bloom 1995).

    Args:
        values: (n,), n of at least 2.

    Returns:
        The distance, in the unit of the values; NaN where a value is NaN or infinite.
    """
    interval = mean_interval(values)
    both = quantile((1 + LEVEL) / 2, interval.degrees) + quantile(POWER, interval.degrees)
    return both * interval.standard_error
