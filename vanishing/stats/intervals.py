"""Means over initialisations or seeds, with intervals; without torch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_RESAMPLES = 2000

Values = NDArray[np.float64]
Average = Callable[[Values], Values]  # over the last axis


def arithmetic_mean(values: Values) -> Values:
    """Average over the last axis."""
    return np.asarray(values.mean(axis=-1))


def geometric_mean(values: Values) -> Values:
    """Average the logarithms over the last axis: exp(mean(ln x)).

    It suits ratios of gradients: theory predicts their logarithms, which add up over layers. A
    zero makes the mean 0; NaN, or a value below 0, makes it NaN.

    Returns:
        The means.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.exp(np.log(values).mean(axis=-1)))


def interval(values: Values, average: Average) -> tuple[float | None, float | None]:
    """Compute the percentile bootstrap's 95 % interval of a mean (Efron 1979), 2,000 resamples.

    The resampling is seeded, so that the same values give the same interval.

    Args:
        values: (n,), n of at least 1.
        average: The mean, as `arithmetic_mean` or `geometric_mean`.

    Returns:
        The lower and the upper end; None for both where n is 1.
    """
    if len(values) == 1:
        return None, None
    indices = np.random.default_rng(0).integers(len(values), size=(_RESAMPLES, len(values)))
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):  # between infinities quantiles are NaN
        low, high = np.quantile(average(values[indices]), [tail, 1 - tail])
    return float(low), float(high)
