"""Metrics, from tables small enough to do it by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from tests.vanishing.judging.made_up_study import frame, random_study
from vanishing.judging import metrics


def test_training_metrics_are_means_over_the_seeds_after_the_last_epoch() -> None:
    rows = [
        ("v", 0, 0, 0, 9.0, 0.9, 9.0, 0.9, 9.0, 0.9),
        ("v", 0, 1, 10, 1.0, 0.5, 2.0, 0.25, 0.5, 0.6),
        ("v", 1, 0, 0, 9.0, 0.9, 9.0, 0.9, 9.0, 0.9),
        ("v", 1, 1, 10, 2.0, 0.5, 3.0, 0.5, 0.5, 0.6),
    ]
    assert metrics.training_metrics(frame("history", rows)) == {
        "test_accuracy": 0.375,
        "test_loss": 2.5,
        "train_accuracy": 0.5,
        "train_loss": 1.5,
        "generalization_gap": 2.0,
    }


def test_propagation_metrics_are_those_of_the_first_and_the_last_snapshot() -> None:
    values = {0: (0.1, 0.3), 1: (9.0, 9.0), 2: (0.2, 0.1)}  # {epoch: one number per layer}
    rows = [
        ("v", 0, epoch, 0, index, f"layer{index}", tensor, statistic, value)
        for epoch, by_layer in values.items()
        for index, value in enumerate(by_layer)
        for tensor, statistic in (("preactivation", "saturation"), ("activation", "std"))
    ]
    rows += [
        ("v", 0, epoch, 0, 0, "layer0", "backpropagated_gradient", "attenuation", by_layer[0])
        for epoch, by_layer in values.items()
    ]
    assert metrics.propagation_metrics(frame("layers", rows)) == {
        "attenuation_init": 0.1,
        "attenuation_final": 0.2,
        "saturation_init": 0.3,
        "saturation_final": 0.2,
        "activation_std_first_init": 0.1,
        "activation_std_last_init": 0.3,
    }


def test_theory_metrics_are_those_of_the_variants_own_depth() -> None:
    rows = [
        ("v", depth, 0, quantity, predicted, measured, 0.1, 0.2, 5)
        for depth, quantity, predicted, measured in (
            (2, "attenuation", 9.0, 9.0),
            (3, "attenuation", 0.5, 0.4),
            (3, "hop", 1.0, 1.1),
            (3, "hop", 0.25, 0.2),
        )
    ]
    assert metrics.theory_metrics(frame("theory", rows), depth=3) == {
        "attenuation_theory": 0.5,
        "attenuation_fresh": 0.4,
        "attenuation_fresh_low": 0.1,
        "attenuation_fresh_high": 0.2,
        "hop_theory": pytest.approx(0.5),
        "hop_fresh": pytest.approx(math.sqrt(0.22)),
        "hop_deviation": pytest.approx(0.2),
    }


def test_a_network_of_one_hidden_layer_has_no_hop() -> None:
    rows = [("v", 1, 0, "attenuation", 1.0, 1.0, 1.0, 1.0, 5)]
    by_name = metrics.theory_metrics(frame("theory", rows), depth=1)
    assert [key for key, value in by_name.items() if math.isnan(value)] == [
        "hop_theory",
        "hop_fresh",
        "hop_deviation",
    ]


def test_all_metrics_of_a_variant_are_finite_numbers() -> None:
    by_name = metrics.compute_metrics(random_study(["v"]))
    assert len(by_name) == 24
    assert all(math.isfinite(value) for value in by_name.values())


def layers(rms: dict[str, list[float]]) -> pd.DataFrame:
    """Return rows of layers.parquet with the given rms of dL/dz by variant and layer."""
    return frame(
        "layers",
        [
            (variant, 0, 0, 0, index, f"layer{index}", "backpropagated_gradient", "rms", value)
            for variant, values in rms.items()
            for index, value in enumerate(values)
        ],
    )


def ratios(rms: dict[str, list[float]]) -> dict[str, float]:
    """Return {variant: first over last hidden layer}."""
    ratio = metrics.first_over_last_hidden(layers(rms), "backpropagated_gradient", "rms")
    by_variant = ratio.droplevel(["seed", "epoch"])
    return {str(variant): float(value) for variant, value in by_variant.items()}


def test_ratio_is_first_over_last_hidden_layer_whatever_the_depth() -> None:
    by_variant = ratios(
        {"deep": [1e-6, 1e-4, 1e-2, 5.0], "shallow": [0.3, 7.0], "other": [4, 2, 9]}
    )
    assert by_variant == pytest.approx({"deep": 1e-4, "shallow": 1.0, "other": 2.0})


def test_ratio_of_a_dead_gradient_is_nan_or_zero_or_infinite() -> None:
    by_variant = ratios({"dead": [0, 0, 1], "vanished": [0, 1, 1], "odd": [1, 0, 1]})
    assert by_variant == pytest.approx(
        {"dead": math.nan, "vanished": 0, "odd": np.inf}, nan_ok=True
    )


def histogram(scale: str, *bins: tuple[float, float, int]) -> pd.DataFrame:
    """Return rows of a histogram."""
    return pd.DataFrame(bins, columns=["bin_left", "bin_right", "count"]).assign(scale=scale)


def test_median_magnitude_is_the_middle_of_the_bin_that_holds_it() -> None:
    bins = [(1.0, 2.0, 3), (0.0, 0.0, 1), (4.0, 8.0, 2), (math.nan, math.nan, 9)]
    assert metrics.median_magnitude(histogram("log2", *bins)) == pytest.approx(math.sqrt(2))
    assert metrics.median_magnitude(histogram("log2", (0.0, 0.0, 5))) == 0
    assert math.isnan(metrics.median_magnitude(histogram("log2", (math.nan, math.nan, 5))))


def test_outside_share_leaves_out_the_two_bins_around_zero() -> None:
    bins = [(-0.02, 0.0, 3), (0.0, 0.02, 4), (0.02, 0.04, 1), (1.0, math.inf, 2)]
    assert metrics.outside_share(histogram("linear", *bins)) == pytest.approx(0.3)
