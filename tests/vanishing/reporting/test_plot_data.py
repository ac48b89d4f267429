"""The frames behind the figures, on tables small enough to compute them by hand."""

import math

import pandas as pd
import pytest

from tests.vanishing.reporting.made_up_tables import frame
from vanishing.reporting import plot_data

HISTOGRAMS = ["variant", "epoch", "layer_index", "tensor", "scale", "bin_left", "bin_right"]


def histograms(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Return rows of histograms.parquet."""
    return pd.DataFrame(rows, columns=[*HISTOGRAMS, "count"])


def test_curves_are_means_over_seeds() -> None:
    history = frame(
        "history",
        ("v", 0, 1, 20, 1.0, 0.2, 3.0, 0.4, 5.0, 0.6),
        ("v", 1, 1, 20, 2.0, 0.4, 4.0, 0.6, 6.0, 0.8),
    )
    (row,) = plot_data.mean_history(history).to_dict("records")
    assert row.pop("variant") == "v"
    assert row.pop("epoch") == 1
    assert list(row) == list(history.columns[4:])
    assert list(row.values()) == pytest.approx([1.5, 0.3, 3.5, 0.5, 5.5, 0.7])


def test_losses_of_training_and_test_images_are_those_of_the_same_weights() -> None:
    history = frame(
        "history",
        ("v", 0, 1, 20, 9.0, 0.9, 3.0, 0.9, 5.0, 0.9),
        ("v", 1, 1, 20, 9.0, 0.9, 4.0, 0.9, 7.0, 0.9),
    )
    assert plot_data.losses(history).to_numpy().tolist() == [[1, "train", 6.0], [1, "test", 3.5]]


def test_generalization_gap_is_that_of_the_same_weights() -> None:
    history = frame("history", ("v", 0, 1, 20, 0.9, 0.9, 0.5, 0.9, 0.3, 0.9))
    assert plot_data.generalization_gap(history)["gap"].tolist() == [pytest.approx(0.2)]


def test_gradient_norms_are_means_over_seeds_and_the_decay_has_the_first_and_last_snapshot() -> (
    None
):
    layers = frame(
        "layers",
        *(
            ("v", seed, epoch, 20 * epoch, 0, "first", "backpropagated_gradient", "rms", value)
            for seed, factor in ((0, 1), (1, 3))
            for epoch, value in ((0, factor), (1, 99), (2, 10 * factor))
        ),
    )
    norms = plot_data.gradient_norms(layers).to_numpy().tolist()
    assert norms == [["v", 0, 0, 2.0], ["v", 1, 0, 99.0], ["v", 2, 0, 20.0]]
    decay = [[*norms[0], False], [*norms[2], True]]
    assert plot_data.gradient_decay(layers).to_numpy().tolist() == decay


def test_the_last_snapshot_is_that_of_each_variant() -> None:
    layers = frame(
        "layers",
        *(
            (variant, 0, epoch, 1, 0, "first", "backpropagated_gradient", "rms", float(epoch))
            for variant, last in (("short", 2), ("long", 5))
            for epoch in (0, 1, last)
        ),
    )
    decay = plot_data.gradient_decay(layers)
    lasts = decay[decay["is_last"]].set_index("variant")["epoch"].to_dict()
    assert lasts == {"short": 2, "long": 5}


def test_saturation_is_a_mean_over_seeds() -> None:
    rows = [
        ("v", seed, 1, 20, 0, "first", "preactivation", "saturation", 0.2 * seed) for seed in (1, 2)
    ]
    saturation = plot_data.saturation(frame("layers", *rows))
    assert saturation.to_numpy().tolist() == [["v", 0, 1, pytest.approx(0.3)]]


def test_activation_quantiles_are_those_of_the_first_snapshot() -> None:
    layers = frame(
        "layers",
        ("v", 0, 0, 0, 0, "first", "activation", "q50", 1.0),
        ("v", 1, 0, 0, 0, "first", "activation", "q50", 2.0),
        ("v", 0, 1, 9, 0, "first", "activation", "q50", 9.0),
        ("v", 0, 0, 0, 0, "first", "activation", "std", 9.0),
        ("v", 0, 0, 0, 0, "first", "preactivation", "q50", 9.0),
    )
    rows = plot_data.activation_quantiles(layers).to_dict("records")
    assert rows == [{"variant": "v", "layer_index": 0, "q50": 1.5}]


def test_gradient_histogram_pools_layers_and_leaves_out_values_beyond_one() -> None:
    counts = plot_data.gradient_histogram(
        histograms(
            ("v", 0, 0, "weight_gradient", "linear", 0.0, 0.02, 5),
            ("v", 0, 1, "weight_gradient", "linear", 0.0, 0.02, 7),
            ("v", 0, 1, "weight_gradient", "linear", 1.0, math.inf, 3),
            ("v", 0, 1, "weight", "linear", 0.0, 0.02, 90),
            ("v", 0, 1, "weight_gradient", "log2", 1.0, 2.0, 90),
        )
    )
    assert counts.to_numpy().tolist() == [[0, 0, 0.02, 12]]


def test_a_layer_whose_gradients_are_all_zero_keeps_a_row() -> None:
    shares = plot_data.gradient_distributions(
        histograms(
            ("v", 0, 0, "weight_gradient", "log2", 0.0, 0.0, 9),
            ("v", 0, 1, "weight_gradient", "log2", 0.5, 1.0, 9),
        )
    )
    assert shares["layer_index"].tolist() == [0, 1]
    assert shares["share"].isna().tolist() == [True, False]


def test_gradient_distributions_are_shares_of_all_gradients_at_initialisation() -> None:
    shares = plot_data.gradient_distributions(
        histograms(
            ("v", 0, 0, "weight_gradient", "log2", 0.0, 0.0, 2),
            ("v", 0, 0, "weight_gradient", "log2", 0.5, 1.0, 6),
            ("v", 0, 0, "weight_gradient", "log2", math.inf, math.inf, 2),
            ("v", 1, 0, "weight_gradient", "log2", 0.5, 1.0, 100),
        )
    )
    assert shares.to_dict("records") == [
        {
            "variant": "v",
            "layer_index": 0,
            "share": pytest.approx(0.6),
            "log10_left": pytest.approx(math.log10(0.5)),
            "log10_right": 0.0,
        }
    ]


def test_activation_distributions_are_shares_at_the_first_snapshot() -> None:
    shares = plot_data.activation_distributions(
        histograms(
            ("v", 0, 0, "activation", "linear", 0.0, 0.02, 6),
            ("v", 0, 0, "activation", "linear", 1.0, math.inf, 2),
            ("v", 1, 0, "activation", "linear", 0.0, 0.02, 5),
            ("v", 0, 0, "preactivation", "linear", 0.0, 0.02, 5),
        )
    )
    assert shares.to_numpy().tolist() == [["v", 0, 0.0, 0.02, 0.75]]


def test_gradient_trace_is_a_mean_over_seeds_and_minus_infinity_where_the_gradient_is_zero() -> (
    None
):
    trace = frame(
        "trace",
        ("v", 0, 1, 0, "first", "weight_gradient", "l2_norm", 0.0),
        ("v", 0, 2, 0, "first", "weight_gradient", "l2_norm", 0.015),
        ("v", 1, 2, 0, "first", "weight_gradient", "l2_norm", 0.005),
        ("v", 0, 2, 0, "first", "weight", "l2_norm", 9.0),
    )
    norms = plot_data.gradient_trace(trace)
    assert norms.columns.tolist() == ["variant", "step", "layer_index", "log10_norm"]
    assert norms["log10_norm"].tolist() == [-math.inf, pytest.approx(-2)]


def trace_histogram(*bins: tuple[float, float, int], seed: int = 0) -> pd.DataFrame:
    """Return rows of trace_histograms.parquet of one step of the first layer."""
    rows = [("v", seed, 1, 0, "first", "weight_gradient", *row) for row in bins]
    return frame("trace_histograms", *rows)


def test_gradient_magnitudes_are_shares_of_the_first_layers_gradients_over_all_seeds() -> None:
    first = trace_histogram((0.1, 1.0, 3), (1.0, 10.0, 1))
    others = frame(
        "trace_histograms",
        ("v", 1, 1, 0, "first", "weight_gradient", 1.0, 10.0, 4),
        ("v", 0, 1, 1, "second", "weight_gradient", 1.0, 10.0, 90),
        ("v", 0, 1, 0, "first", "bias_gradient", 1.0, 10.0, 90),
    )
    shares = plot_data.gradient_magnitudes(pd.concat([first, others]))
    assert shares.to_numpy().tolist() == [["v", 1, -1.0, 0.0, 0.375], ["v", 1, 0.0, 1.0, 0.625]]


def test_zeros_and_values_that_are_not_finite_are_kept_however_few() -> None:
    bins = [(0.0, 0.0, 1), (0.5, 1.0, 1), (1.0, 2.0, 9995)]
    bins += [(math.inf, math.inf, 2), (math.nan, math.nan, 1)]
    shares = plot_data.gradient_magnitudes(trace_histogram(*bins))
    zero, magnitude, not_finite = shares.to_dict("records")
    assert (zero["log10_left"], zero["share"]) == (-math.inf, pytest.approx(1e-4))
    assert (magnitude["log10_left"], magnitude["share"]) == (0, pytest.approx(0.9995))
    assert math.isnan(not_finite["log10_left"])
    assert not_finite["share"] == pytest.approx(3e-4)


def test_attenuation_by_depth_is_in_the_order_of_depth() -> None:
    theory = frame(
        "theory",
        ("v", 4, 0, "attenuation", 0.1, 0.2, 0.1, 0.3, 5),
        ("v", 1, 0, "attenuation", 1.0, 1.0, 1.0, 1.0, 5),
        ("v", 4, 0, "hop", 0.5, 0.5, 0.5, 0.5, 5),
    )
    assert plot_data.attenuation_by_depth(theory)["measured"].tolist() == [1.0, 0.2]


def test_attenuation_without_theory_or_interval_is_nan() -> None:
    numbers = {"attenuation_theory": None, "attenuation_fresh": 0.5}
    numbers |= {"attenuation_fresh_low": None, "attenuation_fresh_high": None}
    (row,) = plot_data.attenuation_by_variant({"v": numbers}).to_dict("records")
    assert row["measured"] == 0.5
    assert all(math.isnan(row[key]) for key in ("predicted", "low", "high"))


def test_health_matrix_has_the_gravest_verdict_of_each_rule() -> None:
    checks = [
        {"variant": name, "rule": "r", "kind": "note", "verdict": verdict}
        for name, verdicts in (("v", ("fine", "problem", "undefined")), ("w", ("fine",)))
        for verdict in verdicts
    ]
    matrix = plot_data.health_matrix(checks).to_numpy().tolist()
    assert matrix == [["v", "r", "note"], ["w", "r", "fine"]]


def test_gradients_through_time_are_by_state_and_step() -> None:
    layers = frame(
        "layers",
        *(
            ("v", seed, epoch, 1, 0, layer, tensor, "rms", float(10 * epoch + time))
            for seed in (0, 1)
            for epoch in (0, 1, 3)
            for time, layer in ((1, "rnn"), (2, "rnn#2"))
            for tensor in ("hidden_gradient_l0", "hidden_gradient_l1_reverse", "cell_gradient_l0")
        ),
    )
    times = plot_data.gradient_through_time(layers)
    assert times["state"].unique().tolist() == ["rnn, layer 0", "rnn, layer 1 reverse"]
    first = times[(times["state"] == "rnn, layer 0") & times["is_last"]]
    assert first[["epoch", "time", "rms"]].to_numpy().tolist() == [[3, 1, 31.0], [3, 2, 32.0]]


def test_gradients_along_the_stream_are_by_block_in_the_order_of_the_forward_pass() -> None:
    layers = frame(
        "layers",
        *(
            ("v", 0, 0, 1, index, block, "stream_gradient", statistic, value)
            for index, block, position, rms in ((0, "late", 9.0, 0.5), (3, "early", 4.0, 0.1))
            for statistic, value in (("rms", rms), ("position", position))
        ),
        ("alone", 0, 0, 1, 0, "block", "stream_gradient", "rms", 1.0),
        ("alone", 0, 0, 1, 0, "block", "stream_gradient", "position", 1.0),
    )
    stream = plot_data.gradient_along_stream(layers).sort_values("number")
    rows = stream[["variant", "number", "rms"]].to_numpy().tolist()
    assert rows == [["v", 1, 0.1], ["v", 2, 0.5]]
