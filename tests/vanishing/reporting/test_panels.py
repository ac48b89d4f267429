"""Panels: the numbers of a frame are those that are drawn."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from tests.support import drawings
from vanishing.reporting import panels
from vanishing.reporting.style import line_styles


@pytest.fixture
def axes() -> Axes:
    """Give empty Axes."""
    return Figure().subplots()


def test_lines_have_their_names_and_their_values_in_the_order_of_x(axes: Axes) -> None:
    frame = pd.DataFrame({"variant": ["a", "a", "b"], "x": [1, 0, 0], "y": [5.0, 4.0, 3.0]})
    assert panels.draw_lines(frame, axes, "x", "y", line_styles(["a", "b"])) is axes
    assert drawings.lines(axes) == {"a": [(0, 4.0), (1, 5.0)], "b": [(0, 3.0)]}


def test_lines_are_told_apart_by_any_column(axes: Axes) -> None:
    frame = pd.DataFrame({"moment": ["start", "end"], "x": [1, 1], "y": [5.0, 4.0]})
    panels.draw_lines(frame, axes, "x", "y", line_styles(["start", "end"]), by="moment")
    assert drawings.lines(axes) == {"start": [(1, 5.0)], "end": [(1, 4.0)]}


def test_values_of_a_line_that_have_no_place_are_marked(axes: Axes) -> None:
    axes.set_yscale("log")
    frame = pd.DataFrame({"variant": "a", "x": [0, 1, 2], "y": [1.0, math.nan, 0.0]})
    panels.draw_lines(frame, axes, "x", "y", line_styles(["a"]))
    assert drawings.points(axes) == {"not finite": [(1, 0.97)], "zero": [(2, 0.03)]}


def test_drawing_leaves_the_frame_alone(axes: Axes) -> None:
    frame = pd.DataFrame({"variant": ["a"], "x": [1], "y": [5.0]})
    before = frame.copy()
    panels.draw_lines(frame, axes, "x", "y", line_styles(["a"]))
    pd.testing.assert_frame_equal(frame, before)


def test_histogram_bars_span_their_bins_on_a_logarithmic_axis(axes: Axes) -> None:
    frame = pd.DataFrame({"bin_left": [-0.02, 0.0], "bin_right": [0.0, 0.02], "count": [3, 1000]})
    panels.draw_gradient_histogram(frame, axes)
    assert axes.get_yscale() == "log"
    assert drawings.bars(axes) == [(-0.02, 0.02, 3), (0.0, 0.02, 1000)]


def test_gradient_distributions_have_a_line_per_layer_through_the_middles_of_bins(
    axes: Axes,
) -> None:
    columns = ["layer_index", "share", "log10_left", "log10_right"]
    frame = pd.DataFrame([(0, 0.2, -1.0, 0.0), (0, 0.3, -2.0, -1.0), (1, 0.5, -3.0, -2.0)])
    panels.draw_gradient_distributions(frame.set_axis(columns, axis=1), axes, ["red", "blue"])
    assert drawings.lines(axes) == {"0": [(-1.5, 0.3), (-0.5, 0.2)], "1": [(-2.5, 0.5)]}
    assert drawings.texts(axes) == []


def test_layers_without_a_gradient_to_draw_are_named(axes: Axes) -> None:
    columns = ["layer_index", "share", "log10_left", "log10_right"]
    rows = [(index, math.nan, math.nan, math.nan) for index in (0, 1, 2, 4)]
    frame = pd.DataFrame([*rows, (3, 0.5, -2.0, -1.0)], columns=columns)
    panels.draw_gradient_distributions(frame, axes, ["red"] * 5)
    assert drawings.texts(axes) == ["layers 0 - 2, 4: zero or not finite"]


def test_activation_distributions_span_the_bins_that_are_not_empty(axes: Axes) -> None:
    frame = pd.DataFrame(
        {
            "layer_index": [0] * 4,
            "bin_left": [-0.04, -0.02, 0.0, 0.02],
            "bin_right": [-0.02, 0.0, 0.02, 0.04],
            "share": [0.0, 0.4, 0.6, 0.0],
        }
    )
    panels.draw_activation_distributions(frame, axes, ["red"])
    assert drawings.stairs(axes) == {"0": [0.0, 0.4, 0.6, 0.0]}
    assert axes.get_xlim() == (-0.02, 0.02)


def test_layers_whose_activations_overflowed_are_named(axes: Axes) -> None:
    quantiles = dict.fromkeys(["q01", "q05", "q25", "q50", "q75", "q95", "q99"], math.nan)
    frame = pd.DataFrame([{"layer_index": 0, **quantiles}])
    panels.draw_activation_quantiles(frame, axes, ["red"])
    outside = {"layer_index": [0], "bin_left": [-1.0], "bin_right": [1.0], "share": [0.0]}
    panels.draw_activation_distributions(pd.DataFrame(outside), axes, ["red"])
    assert drawings.texts(axes) == ["layer 0: not finite", "layer 0: none between -1 and 1"]


def test_attenuation_by_variant_reads_from_the_top_and_draws_variants_without_theory(
    axes: Axes,
) -> None:
    frame = pd.DataFrame(
        {
            "variant": ["a", "b"],
            "predicted": [0.1, math.nan],
            "measured": [0.5, 2.0],
            "low": [0.25, math.nan],
            "high": [0.75, math.nan],
        }
    )
    panels.draw_attenuation_by_variant(frame, axes)
    assert axes.get_xscale() == "log"
    assert drawings.tick_labels(axes, "y") == {1: "a", 0: "b"}
    drawn = drawings.points(axes)
    assert drawn["measured, with 95 % interval"] == [(0.5, 1), (2.0, 0)]
    assert drawn["theory"][0] == (0.1, 1)
    (ends, _) = drawings.intervals(axes)["measured, with 95 % interval"]
    assert ends == [(0.25, 1), (0.75, 1)]


def test_a_variant_without_a_finite_attenuation_keeps_its_row(axes: Axes) -> None:
    finite = dict.fromkeys(["predicted", "measured", "low", "high"], 0.5)
    frame = pd.DataFrame([{"variant": "a", **finite}, {"variant": "b"}])
    panels.draw_attenuation_by_variant(frame, axes)
    assert drawings.points(axes)["not finite"] == [(0.97, 0)]


def test_attenuation_by_depth_has_a_line_of_theory_and_points_with_intervals(axes: Axes) -> None:
    frame = pd.DataFrame(
        {
            "depth": [1, 2],
            "predicted": [1.0, 0.1],
            "measured": [1.0, 0.5],
            "low": [math.nan, 0.25],
            "high": [math.nan, 0.75],
        }
    )
    panels.draw_attenuation_by_depth(frame, axes)
    assert axes.get_yscale() == "log"
    assert drawings.lines(axes)["theory"] == [(1, 1.0), (2, 0.1)]
    assert drawings.points(axes)["measured"] == [(1, 1.0), (2, 0.5)]
    (_, ends) = drawings.intervals(axes)["measured"]
    assert ends == [(2, 0.25), (2, 0.75)]


def test_saturation_has_a_line_per_layer_on_the_whole_scale(axes: Axes) -> None:
    frame = pd.DataFrame(
        {"layer_index": [0, 0, 1, 1], "epoch": [0, 2, 0, 2], "share": [0.0, 0.5, 0.1, 1.0]}
    )
    panels.draw_saturation(frame, axes, ["red", "blue"])
    assert drawings.lines(axes) == {"0": [(0, 0.0), (2, 0.5)], "1": [(0, 0.1), (2, 1.0)]}
    low, high = axes.get_ylim()
    assert low < 0
    assert high > 1


def test_health_matrix_has_a_sign_per_variant_and_rule(axes: Axes) -> None:
    rows = [("a", "learning", "learns"), ("a", "r1", "warning"), ("a", "r2", "fine")]
    rows += [("b", "learning", "will not learn"), ("b", "r1", "not applicable")]
    rows.append(("b", "r2", "undefined"))
    frame = pd.DataFrame(rows, columns=["variant", "rule", "mark"])
    panels.draw_health_matrix(frame, axes)
    first, second = {0: "✓", 1: "!", 2: "·"}, {0: "×", 1: "-", 2: "?"}
    expected = {(x, 0): sign for x, sign in first.items()}
    assert drawings.cells(axes) == expected | {(x, 1): sign for x, sign in second.items()}
    assert drawings.tick_labels(axes, "y") == {0: "a", 1: "b"}
    assert drawings.tick_labels(axes, "x") == {0: "learning", 1: "r1", 2: "r2"}


def test_trace_has_layers_on_rows_from_the_bottom_and_masks_values_that_are_not_finite(
    axes: Axes,
) -> None:
    rows = list(itertools.product([10, 20], [0, 1]))
    frame = pd.DataFrame(rows, columns=["step", "layer_index"])
    frame["log10_norm"] = [-4.0, -1.0, -math.inf, -2.0]
    image = panels.trace_image(frame)
    assert image[:, 0].tolist() == [-4.0, -1.0]
    assert np.ma.is_masked(image[0, 1])
    panels.draw_gradient_trace(frame, axes, Normalize(-5, 0))
    assert axes.get_ylim() == (-0.5, 1.5)


MAGNITUDES = pd.DataFrame(
    [
        (1, -2.0, -1.0, 0.5),
        (1, -3.0, -2.0, 0.5),
        (3, -6.0, -5.0, 0.25),
        (3, -np.inf, -np.inf, 0.25),
        (3, math.nan, math.nan, 0.5),
    ],
    columns=["step", "log10_left", "log10_right", "share"],
)


def test_gradient_magnitudes_are_shares_by_step_and_power_of_two(axes: Axes) -> None:
    scale = panels.MagnitudeScale(-6, -1)
    panels.draw_gradient_magnitudes(MAGNITUDES, axes, scale, LogNorm(1e-3, 1))
    drawn = drawings.heat_map(axes)
    finite = {cell: share for cell, share in drawn.items() if scale.low < cell[1] < scale.high}
    assert finite == {(1.5, -1.5): 0.5, (1.5, -2.5): 0.5, (2.5, -5.5): 0.25}


def test_gradients_that_are_zero_or_not_finite_have_named_rows_apart(axes: Axes) -> None:
    scale = panels.MagnitudeScale(-6, -1)
    panels.draw_gradient_magnitudes(MAGNITUDES, axes, scale, LogNorm(1e-3, 1))
    names = {label: y for y, label in drawings.tick_labels(axes, "y").items()}
    assert names["zero"] < scale.low
    assert names["not finite"] > scale.high
    shares = {round(y, 6): share for (_, y), share in drawings.heat_map(axes).items()}
    assert shares[round(names["zero"], 6)] == 0.25
    assert shares[round(names["not finite"], 6)] == 0.5
    low, high = axes.get_ylim()
    assert low < names["zero"] < names["not finite"] < high


def test_a_single_traced_step_is_visible(axes: Axes) -> None:
    frame = MAGNITUDES[MAGNITUDES["step"] == 1]
    panels.draw_gradient_magnitudes(frame, axes, panels.MagnitudeScale(-3, -1), LogNorm(1e-3, 1))
    assert set(drawings.heat_map(axes)) == {(1, -1.5), (1, -2.5)}
    assert axes.get_xlim() == (0.5, 1.5)
