"""Geometric means and their intervals."""

import math

import numpy as np
import pytest

from stages.core.intervals import geometric_mean


def test_mean_is_geometric_and_within_its_interval() -> None:
    mean, low, high = geometric_mean(np.array([1.0, 10.0, 100.0]))
    assert mean == pytest.approx(10)
    assert low is not None
    assert high is not None
    assert low < mean < high


def test_one_value_has_no_interval() -> None:
    mean, low, high = geometric_mean(np.array([3.0]))
    assert (low, high) == (None, None)
    assert mean == pytest.approx(3.0)


def test_same_values_same_interval() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert geometric_mean(values) == geometric_mean(values.copy())


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        _, low, high = geometric_mean(np.exp(rng.normal(0.5, 0.3, size=20)))
        assert low is not None
        assert high is not None
        covered += low <= math.exp(0.5) <= high
    assert 175 <= covered <= 199  # of 200 at 95 %; the percentile bootstrap is a little short


def test_zero_and_nan_are_what_they_are() -> None:
    assert geometric_mean(np.array([0.0, 1.0]))[0] == 0
    assert math.isnan(geometric_mean(np.array([math.nan, 1.0]))[0])
