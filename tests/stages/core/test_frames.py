"""What the figures show, counted over on tables small enough to do it by hand."""

import math

import pandas as pd
import pytest

from stages.core import frames

HIST = ["variant", "epoch", "layer_index", "tensor", "scale", "bin_left", "bin_right", "count"]


def histograms(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Return rows of histograms.parquet."""
    return pd.DataFrame(rows, columns=HIST)


def test_gradient_histogram_pools_layers_and_leaves_out_what_is_outside() -> None:
    frame = frames.gradient_histogram(
        histograms(
            ("v", 0, 0, "weight_gradient", "linear", 0.0, 0.02, 5),
            ("v", 0, 1, "weight_gradient", "linear", 0.0, 0.02, 7),
            ("v", 0, 1, "weight_gradient", "linear", 1.0, math.inf, 3),
            ("v", 0, 1, "weight", "linear", 0.0, 0.02, 90),
            ("v", 0, 1, "weight_gradient", "log2", 1.0, 2.0, 90),
        )
    )
    assert frame.to_numpy().tolist() == [[0, 0, 0.02, 12]]


def test_gradient_distributions_are_shares_of_all_zeros_included() -> None:
    frame = frames.gradient_distributions(
        histograms(
            ("v", 0, 0, "weight_gradient", "log2", 0.0, 0.0, 2),
            ("v", 0, 0, "weight_gradient", "log2", 0.5, 1.0, 6),
            ("v", 0, 0, "weight_gradient", "log2", math.inf, math.inf, 2),
            ("v", 1, 0, "weight_gradient", "log2", 0.5, 1.0, 100),
        )
    )
    assert frame.to_dict("records") == [
        {
            "variant": "v",
            "layer_index": 0,
            "share": pytest.approx(0.6),
            "log10_left": pytest.approx(math.log10(0.5)),
            "log10_right": 0.0,
        }
    ]


def test_gradient_decay_is_a_mean_over_seeds_at_the_first_and_last_snapshot() -> None:
    rows = [
        ("v", seed, epoch, 0, "backpropagated_gradient", "rms", value)
        for seed, factor in ((0, 1), (1, 3))
        for epoch, value in ((0, factor), (1, 99), (2, 10 * factor))
    ]
    columns = ["variant", "seed", "epoch", "layer_index", "tensor", "statistic", "value"]
    frame = frames.gradient_decay(pd.DataFrame(rows, columns=columns))
    assert frame.to_numpy().tolist() == [["v", 0, 0, 2.0], ["v", 2, 0, 20.0]]


def test_gradient_trace_of_a_dead_gradient_is_minus_infinity() -> None:
    rows = [
        ("v", 1, 0, "weight_gradient", "l2_norm", 0.0),
        ("v", 2, 0, "weight_gradient", "l2_norm", 0.01),
    ]
    columns = ["variant", "step", "layer_index", "tensor", "statistic", "value"]
    frame = frames.gradient_trace(pd.DataFrame(rows, columns=columns))
    assert frame["log10_norm"].tolist() == [-math.inf, pytest.approx(-2)]
