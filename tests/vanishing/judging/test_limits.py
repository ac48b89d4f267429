"""Limits: on which side a number lies."""

import math

import numpy as np
import pytest

from vanishing.judging.limits import Limit


def test_a_limit_holds_on_its_side_and_at_least_holds_at_the_value_too() -> None:
    numbers = (1.0, 2.0, 3.0)
    assert [Limit("<", 2).holds(x) for x in numbers] == [True, False, False]
    assert [Limit(">", 2).holds(x) for x in numbers] == [False, False, True]
    assert [Limit(">=", 2).holds(x) for x in numbers] == [False, True, True]


def test_a_limit_reads_as_words() -> None:
    limits = (Limit("<", 0.01), Limit(">", 1), Limit(">=", -2.50))
    assert [str(limit) for limit in limits] == ["below 0.01", "above 1", "at least -2.5"]


@pytest.mark.parametrize("limit", [Limit("<", 0), Limit(">", 0), Limit(">=", 0)])
def test_no_limit_holds_for_nan(limit: Limit) -> None:
    assert not limit.holds(math.nan)
    assert not limit.holds_between(math.nan, math.nan)


def test_a_limit_holds_for_an_interval_that_is_on_its_side_as_a_whole() -> None:
    assert Limit(">", 2).holds_between(2.1, 9)
    assert not Limit(">", 2).holds_between(1.9, 9)
    assert Limit("<", 2).holds_between(-9, 1.9)
    assert not Limit("<", 2).holds_between(-9, 2.1)


def test_the_extreme_is_furthest_to_the_side_of_the_limit_and_the_first_among_equals() -> None:
    values = np.array([3.0, 1.0, 5.0, 1.0, 5.0])
    extremes = [Limit("<", 0).extreme(values), Limit(">", 0).extreme(values)]
    assert extremes == [1, 2]
    assert Limit(">=", 0).extreme(values) == 2
