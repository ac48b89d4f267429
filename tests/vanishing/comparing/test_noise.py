"""How far a number moves without a cause; the bounds are those of docs/decisions/0013."""

import math

import numpy as np
import pytest

from tests.support.study import tiny_params
from vanishing.comparing.noise import (
    Network,
    last_digit,
    network,
    overlap,
    paired_interval,
    rounding,
)
from vanishing.judging.metrics import Metrics
from vanishing.results.summaries import rounded

SMOOTH, GROWING = Network(False, {"train": 60000, "test": 10000}), Network(True, {"test": 10000})


@pytest.mark.parametrize(
    ("metric", "before", "after", "where"),
    [
        ("train_loss", 0.2, 0.200002, SMOOTH),
        ("train_loss", 1.00000, 1.00001, SMOOTH),  # one unit of the last digit
        ("train_loss", 0.2, 0.225, GROWING),
        ("test_accuracy", 0.95, 0.9501, SMOOTH),  # one image
        ("test_accuracy", 0.95, 0.9525, GROWING),
        ("attenuation_final", 1.0, 2.4, GROWING),
        ("attenuation_init", 0.0123456, 0.0123457, GROWING),
        ("saturation_init", 0.0, 2e-6, SMOOTH),
        ("hop_deviation", 0.003, 0.003007, SMOOTH),
        ("gradient_median_magnitude_init", 1e-7, 2e-7, SMOOTH),  # the next bin
    ],
)
def test_a_difference_within_rounding(
    metric: str, before: float, after: float, where: Network
) -> None:
    for pair in ((before, after), (after, before)):
        assert abs(pair[0] - pair[1]) <= bound(metric, *pair, where)


@pytest.mark.parametrize(
    ("metric", "before", "after", "where"),
    [
        ("train_loss", 0.2, 0.20001, SMOOTH),
        ("train_loss", 0.2, 0.24, GROWING),
        ("test_accuracy", 0.95, 0.9502, SMOOTH),
        ("test_accuracy", 0.95, 0.954, GROWING),
        ("attenuation_final", 1.0, 2.6, GROWING),
        ("attenuation_init", 0.0123456, 0.0123459, GROWING),  # nothing has grown yet
        ("saturation_init", 0.0, 6e-6, GROWING),
        ("gradient_outside_share_init", 1e-4, 1.1e-4, GROWING),
        ("hop_deviation", 0.003, 0.00302, SMOOTH),
        ("gradient_median_magnitude_init", 1e-7, 4e-7, SMOOTH),
    ],
)
def test_a_difference_beyond_rounding(
    metric: str, before: float, after: float, where: Network
) -> None:
    for pair in ((before, after), (after, before)):
        assert abs(pair[0] - pair[1]) > bound(metric, *pair, where)


def bound(metric: str, before: float, after: float, where: Network) -> float:
    """Return what rounding explains."""
    return rounding(metric, {metric: before}, {metric: after}, where).bound


def test_a_difference_of_losses_is_set_against_the_losses() -> None:
    before = {"generalization_gap": 0.0001, "test_loss": 2.3}
    after = {"generalization_gap": 0.00013, "test_loss": 2.2}
    allowed = rounding("generalization_gap", before, after, SMOOTH)
    assert allowed.scale == 2.3
    assert allowed.bound > 0.00003


def test_rounding_grows_where_a_network_has_a_kink_or_large_weights_or_is_unknown() -> None:
    params = tiny_params()
    variants = params["variants"]
    variants["large"] = variants["sigmoid"] | {"init": "normal", "std": 1.0}
    variants["own"] = {"network": "nets:build"}
    variants["adam"] = variants["sigmoid"] | {"optimizer": {"name": "adam", "learning_rate": 1}}
    variants["rounded"] = variants["sigmoid"] | {"precision": "bfloat16"}
    grows = {name: network(params, name).grows for name in [*variants, "unknown"]}
    assert grows == {
        "sigmoid": False,
        "relu": True,
        "sigmoid-batchnorm": False,
        "large": True,
        "own": True,
        "adam": True,
        "rounded": True,
        "unknown": True,
    }
    assert network({}, "sigmoid").grows
    assert network(params, "sigmoid").images == {"train": 60000, "test": 10000}


@pytest.mark.parametrize("value", [1.0, 9.99999, 0.00123456, 6.02e23])
def test_the_last_digit_is_that_with_which_files_are_written(value: float) -> None:
    unit = last_digit(value)
    assert rounded(value + unit) != rounded(value) == rounded(value + unit / 10)
    assert last_digit(0) == 0


def test_the_interval_of_paired_differences_is_students() -> None:
    low, high = paired_interval([0.01, 0.02, 0.03])
    assert ((low + high) / 2, (high - low) / 2) == pytest.approx((0.02, 4.303 * 0.01 / 3**0.5))
    assert paired_interval([0.5, 0.5]) == (0.5, 0.5)


@pytest.mark.parametrize("count", [2, 3, 5, 12, 40])
def test_the_interval_leaves_out_chance_in_19_of_20_cases(count: int) -> None:
    rng = np.random.default_rng(0)
    trials = 4000
    intervals = [paired_interval(rng.normal(size=count).tolist()) for _ in range(trials)]
    missed = sum(not low <= 0 <= high for low, high in intervals) / trials
    assert 0.02 < missed < 0.06


def fresh(mean: float, half_width: float) -> Metrics:
    """Return an attenuation over fresh initialisations, its interval symmetric in the logarithm."""
    return {
        "attenuation_fresh": mean,
        "attenuation_fresh_low": mean * math.exp(-half_width),
        "attenuation_fresh_high": mean * math.exp(half_width),
    }


def test_attenuations_over_initialisations_overlap_within_both_intervals() -> None:
    assert overlap(fresh(0.01, 0.03), fresh(0.01 * math.exp(0.049), 0.04))
    assert not overlap(fresh(0.01, 0.03), fresh(0.01 * math.exp(0.051), 0.04))
    assert not overlap(fresh(0.01, 0.03), {"attenuation_fresh": 0.01})
    assert not overlap(fresh(0.01, 0.03), fresh(0.0, 0.03))
