"""Student's t: tabulated quantiles, closed forms, and the mean of a few numbers."""

import math

import numpy as np
import pytest

from vanishing.stats.student import cdf, detectable, mean_interval, p_above, quantile

# Fisher & Yates (1963), table III.
TABULATED = {
    (0.8, 1): 1.376,
    (0.8, 4): 0.941,
    (0.8, 30): 0.854,
    (0.95, 2): 2.920,
    (0.95, 7): 1.895,
    (0.975, 1): 12.706,
    (0.975, 2): 4.303,
    (0.975, 3): 3.182,
    (0.975, 4): 2.776,
    (0.975, 9): 2.262,
    (0.975, 120): 1.980,
    (0.995, 4): 4.604,
    (0.9995, 5): 6.869,
}


@pytest.mark.parametrize(("probability", "degrees"), TABULATED)
def test_quantiles_are_those_of_the_tables(probability: float, degrees: int) -> None:
    expected = TABULATED[probability, degrees]
    assert quantile(probability, degrees) == pytest.approx(expected, abs=6e-4)
    assert quantile(1 - probability, degrees) == pytest.approx(-expected, abs=6e-4)


@pytest.mark.parametrize("t", [-30.0, -1.5, 0.0, 0.3, 7.0])
def test_probabilities_are_those_of_closed_forms(t: float) -> None:
    assert cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-14)
    assert cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t**2)), abs=1e-14)
    normal = 0.5 * (1 + math.erf(t / math.sqrt(2)))
    assert cdf(t, 100_000) == pytest.approx(normal, abs=1e-5)
    assert cdf(quantile(0.9, 5), 5) == pytest.approx(0.9, abs=1e-12)


def test_the_distribution_function_ends_at_0_and_1() -> None:
    assert (cdf(-math.inf, 3), cdf(0.0, 3), cdf(math.inf, 3)) == (0.0, 0.5, 1.0)
    assert math.isnan(cdf(math.nan, 4))


def test_an_interval_covers_the_mean_in_95_of_100_samples_of_five() -> None:
    samples = np.random.default_rng(1).normal(3.0, 2.0, (4000, 5))
    intervals = [mean_interval(sample) for sample in samples[:2000]]
    covered = np.mean([interval.low < 3.0 < interval.high for interval in intervals])
    assert covered == pytest.approx(0.95, abs=0.015)


def test_an_effect_of_the_detectable_size_is_shown_in_about_80_of_100_samples() -> None:
    rng = np.random.default_rng(2)
    size = (quantile(0.975, 4) + quantile(0.8, 4)) / math.sqrt(5)  # with σ = 1
    shown = [p_above(rng.normal(size, 1.0, 5), 0.0) < 0.025 for _ in range(2000)]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.06)  # t + t is an approximation
    values = np.array([1.0, 2.0, 4.0, 4.0, 9.0])
    expected = (2.7764 + 0.9410) * values.std(ddof=1) / math.sqrt(5)
    assert detectable(values) == pytest.approx(expected, rel=1e-4)


def test_p_agrees_with_the_interval() -> None:
    values = np.array([1.0, 2.0, 4.0, 4.0, 9.0])
    interval = mean_interval(values)
    assert p_above(values, interval.low) == pytest.approx(0.025, abs=1e-12)
    assert p_above(-values, -interval.high) == pytest.approx(0.025, abs=1e-12)
    assert p_above(values, 4.0) == pytest.approx(0.5)


def test_equal_and_missing_numbers() -> None:
    equal = np.array([0.1, 0.1, 0.1]) * 5  # whose mean may round
    assert p_above(np.full(3, 0.25), 0.0) == 0.0
    assert p_above(np.full(3, 0.25), 0.25) == 1.0
    assert mean_interval(np.full(3, 0.25))[:2] == (0.25, 0.25)
    assert p_above(equal, 1.0) == 1.0
    for missing in (math.nan, math.inf):
        values = np.array([1.0, missing, 2.0])
        assert math.isnan(p_above(values, 0.0))
        assert math.isnan(mean_interval(values).low)
        assert math.isnan(detectable(values))
