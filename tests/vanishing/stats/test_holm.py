"""Holm's correction: an example by hand, and how often a true hypothesis is rejected."""

import math

import numpy as np
import pytest

from vanishing.stats.holm import adjust


def test_the_smallest_is_multiplied_by_their_number_and_the_order_is_kept() -> None:
    assert adjust([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust([0.5, 0.4]) == pytest.approx([0.8, 0.8])
    assert adjust([]) == []


def test_a_missing_number_counts_among_the_hypotheses() -> None:
    first, second = adjust([math.nan, 0.02])
    assert math.isnan(first)
    assert second == pytest.approx(0.04)


def test_a_true_hypothesis_is_rejected_in_at_most_5_of_100_families() -> None:
    p = np.random.default_rng(3).uniform(size=(2000, 12))
    rejected = [min(adjust(list(family))) <= 0.05 for family in p]
    assert np.mean(rejected) < 0.06
    assert np.mean(p.min(axis=1) <= 0.05) > 0.4  # without it
