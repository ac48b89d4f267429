"""Means and their intervals."""

import math

import numpy as np
import pytest

from vanishing.stats.intervals import arithmetic_mean, geometric_mean, interval


def test_means_are_over_the_last_axis() -> None:
    values = np.array([1.0, 10.0, 100.0])
    assert geometric_mean(values) == pytest.approx(10)
    assert arithmetic_mean(values) == pytest.approx(37)
    assert geometric_mean(np.stack([values, 2 * values])) == pytest.approx([10, 20])


@pytest.mark.parametrize("average", [arithmetic_mean, geometric_mean])
def test_a_mean_lies_within_its_interval(average: object) -> None:
    assert callable(average)
    values = np.array([1.0, 10.0, 100.0])
    low, high = interval(values, average)
    assert low is not None
    assert high is not None
    assert low < average(values) < high


def test_one_value_has_no_interval() -> None:
    assert interval(np.array([3.0]), geometric_mean) == (None, None)
    assert geometric_mean(np.array([3.0])) == pytest.approx(3.0)


def test_same_values_same_interval() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0])
    assert interval(values, geometric_mean) == interval(values.copy(), geometric_mean)


def test_interval_covers_the_true_mean_about_as_often_as_its_level() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        low, high = interval(np.exp(rng.normal(0.5, 0.3, size=20)), geometric_mean)
        assert low is not None
        assert high is not None
        covered += low <= math.exp(0.5) <= high
    assert 175 <= covered <= 199  # of 200 at 95 %; the percentile bootstrap is a little short


def test_a_zero_makes_the_geometric_mean_zero_and_nan_makes_it_nan() -> None:
    assert geometric_mean(np.array([0.0, 1.0])) == 0
    assert math.isnan(geometric_mean(np.array([math.nan, 1.0])))
