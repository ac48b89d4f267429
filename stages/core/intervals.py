"""Means with intervals, over initialisations or seeds."""

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
_RESAMPLES = 2000


def geometric_mean(values: NDArray[np.float64]) -> tuple[float, float | None, float | None]:
    """Average positive values and give a bootstrap interval of their geometric mean.

    exp(mean(ln x)), with the percentile interval (Efron 1979) of 2,000 resamples at 95 %; the
    resampling is seeded, so that the same values give the same interval. Ratios of gradients are
    averaged so because theory predicts their logarithms, which add up over layers. A zero makes
    the mean 0, NaN makes it NaN.

    Args:
        values: (n,), n of at least 1.

    Returns:
        The mean, and the ends of the interval; None for these where n is 1.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
        mean = float(np.exp(logs.mean()))
        if len(values) == 1:
            return mean, None, None
        chosen = np.random.default_rng(0).integers(len(logs), size=(_RESAMPLES, len(logs)))
        means = logs[chosen].mean(axis=1)
        tail = (1 - LEVEL) / 2
        low, high = np.exp(np.quantile(means, [tail, 1 - tail]))
    return mean, float(low), float(high)
