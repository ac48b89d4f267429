"""Metrics, from tables small enough to do it by hand."""

import math

import pandas as pd
import pytest

from vanishing.judging import metrics


def histogram(scale: str, *bins: tuple[float, float, int]) -> pd.DataFrame:
    """Return rows of a histogram."""
    frame = pd.DataFrame(bins, columns=["bin_left", "bin_right", "count"])
    return frame.assign(scale=scale)


def test_median_magnitude_is_the_middle_of_the_bin_that_holds_it() -> None:
    bins = [(1.0, 2.0, 3), (0.0, 0.0, 1), (4.0, 8.0, 2), (math.nan, math.nan, 9)]
    assert metrics.median_magnitude(histogram("log2", *bins)) == pytest.approx(math.sqrt(2))
    assert metrics.median_magnitude(histogram("log2", (0.0, 0.0, 5))) == 0
    assert math.isnan(metrics.median_magnitude(histogram("log2", (math.nan, math.nan, 5))))


def test_outside_share_leaves_out_the_two_bins_around_zero() -> None:
    bins = [(-0.02, 0.0, 3), (0.0, 0.02, 4), (0.02, 0.04, 1), (1.0, math.inf, 2)]
    assert metrics.outside_share(histogram("linear", *bins)) == pytest.approx(0.3)
