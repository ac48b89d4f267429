"""What the figures show, counted over on tables small enough to do it by hand."""

import math

import pandas as pd
import pytest

from vanishing.reporting import plot_data as frames

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


def test_a_layer_whose_gradients_are_all_zero_is_not_forgotten() -> None:
    frame = frames.gradient_distributions(
        histograms(
            ("v", 0, 0, "weight_gradient", "log2", 0.0, 0.0, 9),
            ("v", 0, 1, "weight_gradient", "log2", 0.5, 1.0, 9),
        ),
        "weight_gradient",
    )
    assert frame["layer_index"].tolist() == [0, 1]
    assert frame["share"].isna().tolist() == [True, False]


def test_gradient_distributions_are_shares_of_all_zeros_included() -> None:
    frame = frames.gradient_distributions(
        histograms(
            ("v", 0, 0, "weight_gradient", "log2", 0.0, 0.0, 2),
            ("v", 0, 0, "weight_gradient", "log2", 0.5, 1.0, 6),
            ("v", 0, 0, "weight_gradient", "log2", math.inf, math.inf, 2),
            ("v", 1, 0, "weight_gradient", "log2", 0.5, 1.0, 100),
        ),
        "weight_gradient",
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


def test_activation_distributions_are_shares_at_the_first_snapshot() -> None:
    frame = frames.activation_distributions(
        histograms(
            ("v", 0, 0, "activation", "linear", 0.0, 0.02, 6),
            ("v", 0, 0, "activation", "linear", 1.0, math.inf, 2),
            ("v", 1, 0, "activation", "linear", 0.0, 0.02, 5),
            ("v", 0, 0, "preactivation", "linear", 0.0, 0.02, 5),
        )
    )
    assert frame.to_numpy().tolist() == [["v", 0, 0.0, 0.02, 0.75]]


def test_saturation_is_a_mean_over_seeds() -> None:
    rows = [("v", seed, 1, 0, "preactivation", "saturation", 0.2 * seed) for seed in (1, 2)]
    columns = ["variant", "seed", "epoch", "layer_index", "tensor", "statistic", "value"]
    frame = frames.saturation(pd.DataFrame(rows, columns=columns))
    assert frame.to_numpy().tolist() == [["v", 0, 1, pytest.approx(0.3)]]


def test_generalization_gap_is_that_of_the_same_weights() -> None:
    history = pd.DataFrame(
        [("v", 0, 1, 0.9, 0.5, 0.3)],
        columns=["variant", "seed", "epoch", "train_loss", "test_loss", "train_loss_end"],
    )
    assert frames.generalization_gap(history)["gap"].tolist() == [pytest.approx(0.2)]


def test_attenuation_without_theory_or_interval_is_nan() -> None:
    own = {"attenuation_theory": None, "attenuation_fresh": 0.5}
    own |= {"attenuation_fresh_low": None, "attenuation_fresh_high": None}
    (row,) = frames.attenuation_by_variant({"v": own}).to_dict("records")
    assert row["measured"] == 0.5
    assert all(math.isnan(row[key]) for key in ("predicted", "low", "high"))


def test_health_matrix_has_the_gravest_verdict_of_each_rule() -> None:
    checks = [
        {"variant": "v", "rule": "r", "verdict": verdict}
        for verdict in ("fine", "problem", "undefined")
    ]
    assert frames.health_matrix(checks).to_numpy().tolist() == [["v", "r", "problem"]]
