"""Figures: what is drawn, on the artists, not on pixels."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vanishing.reporting import panels as figures


@pytest.fixture
def axes() -> Axes:
    """Give empty Axes."""
    return Figure().subplots()


def test_thirty_variants_look_different_from_each_other() -> None:
    looks = figures.looks([f"v{i}" for i in range(28)])
    assert len(looks) == 28
    assert len(set(looks.values())) == 28


def test_lines_draw_each_variant_under_its_name_with_its_values(axes: Axes) -> None:
    frame = pd.DataFrame({"variant": ["a", "a", "b"], "x": [1, 0, 0], "y": [5.0, 4.0, math.nan]})
    drawn = figures.draw_lines(frame, axes, "x", "y", figures.looks(["a", "b"]))
    assert drawn is axes
    first, second = axes.get_lines()
    assert [first.get_label(), second.get_label()] == ["a", "b"]
    assert np.asarray(first.get_ydata()).tolist() == [4.0, 5.0]  # ordered by x


def test_histogram_bars_span_their_bins_on_a_logarithmic_axis(axes: Axes) -> None:
    frame = pd.DataFrame({"bin_left": [-0.02, 0.0], "bin_right": [0.0, 0.02], "count": [3, 1000]})
    figures.draw_gradient_histogram(frame, axes)
    assert axes.get_yscale() == "log"
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in bars] == [
        (-0.02, 0.02, 3),
        (0.0, 0.02, 1000),
    ]


def test_trace_puts_layers_on_rows_from_the_bottom_and_masks_what_is_not_finite() -> None:
    rows = list(itertools.product([10, 20], [0, 1]))
    frame = pd.DataFrame(rows, columns=["step", "layer_index"])
    frame["log10_norm"] = [-4.0, -1.0, -math.inf, -2.0]
    image = figures.trace_image(frame)
    assert image.shape == (2, 2)
    assert image[:, 0].tolist() == [-4.0, -1.0]
    assert np.ma.is_masked(image[0, 1])


def test_trace_is_drawn_from_the_bottom_up(axes: Axes) -> None:
    frame = pd.DataFrame({"step": [10, 10], "layer_index": [0, 1], "log10_norm": [-4.0, -1.0]})
    figures.draw_gradient_trace(frame, axes, Normalize(-5, 0))
    assert axes.get_ylim() == (-0.5, 1.5)


def test_drawing_leaves_the_frame_alone(axes: Axes) -> None:
    frame = pd.DataFrame({"variant": ["a"], "x": [1], "y": [5.0]})
    before = frame.copy()
    figures.draw_lines(frame, axes, "x", "y", figures.looks(["a"]))
    pd.testing.assert_frame_equal(frame, before)


def test_health_matrix_has_a_cell_per_variant_and_rule_told_by_sign_and_colour(axes: Axes) -> None:
    rows = [("a", "r1", "problem"), ("a", "r2", "fine"), ("b", "r1", "not applicable")]
    rows.append(("b", "r2", "undefined"))
    frame = pd.DataFrame(rows, columns=["variant", "rule", "verdict"])
    figures.draw_health_matrix(frame, axes)
    signs = {text.get_position(): text.get_text() for text in axes.texts}
    assert signs == {(0, 0): "×", (1, 0): "·", (0, 1): "-", (1, 1): "?"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert len({patch.get_facecolor() for patch in axes.patches}) == 4


def test_attenuation_by_variant_reads_from_the_top_and_draws_what_has_no_theory(axes: Axes) -> None:
    frame = pd.DataFrame(
        {
            "variant": ["a", "b"],
            "predicted": [0.1, math.nan],
            "measured": [0.11, 2.0],
            "low": [0.1, math.nan],
            "high": [0.12, math.nan],
        }
    )
    figures.draw_attenuation_by_variant(frame, axes)
    assert axes.get_xscale() == "log"
    labels = dict(
        zip(axes.get_yticks(), (t.get_text() for t in axes.get_yticklabels()), strict=True)
    )
    assert labels == {1: "a", 0: "b"}
    points = axes.containers[0].lines[0]  # type: ignore[attr-defined]
    assert list(zip(points.get_xdata(), points.get_ydata(), strict=True)) == [(0.11, 1), (2.0, 0)]


def test_saturation_draws_a_line_per_layer_on_the_whole_scale(axes: Axes) -> None:
    frame = pd.DataFrame(
        {"layer_index": [0, 0, 1, 1], "epoch": [0, 2, 0, 2], "share": [0.0, 0.5, 0.1, 1.0]}
    )
    figures.draw_saturation(frame, axes, ["red", "blue"])
    assert [np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()] == [
        [0.0, 0.5],
        [0.1, 1.0],
    ]
    low, high = axes.get_ylim()
    assert low < 0
    assert high > 1


def test_activation_distributions_span_the_bins_that_hold_anything(axes: Axes) -> None:
    frame = pd.DataFrame(
        {
            "layer_index": [0] * 4,
            "bin_left": [-0.04, -0.02, 0.0, 0.02],
            "bin_right": [-0.02, 0.0, 0.02, 0.04],
            "share": [0.0, 0.4, 0.6, 0.0],
        }
    )
    figures.draw_activation_distributions(frame, axes, ["red"])
    assert axes.get_xlim() == (-0.02, 0.02)


def test_what_has_no_place_on_the_axes_is_marked_at_their_edge(axes: Axes) -> None:
    frame = pd.DataFrame(
        {"variant": "a", "x": [0, 1, 2, 3], "y": [1.0, math.nan, 0.0, math.inf]},
    )
    figures.draw_lines(frame, axes, "x", "y", figures.looks(["a"]), "log")
    above, below = axes.collections
    assert (above.get_label(), below.get_label()) == ("not finite", "zero")
    assert np.asarray(above.get_offsets()).tolist() == [[1, 0.97], [3, 0.97]]
    assert np.asarray(below.get_offsets()).tolist() == [[2, 0.03]]
    low, high = axes.get_xlim()
    assert low < 0
    assert high > 3


def test_a_zero_is_no_loss_on_a_linear_axis_and_many_marks_are_thinned(axes: Axes) -> None:
    frame = pd.DataFrame({"variant": "a", "x": range(500), "y": [0.0, *[math.nan] * 499]})
    figures.draw_lines(frame, axes, "x", "y", figures.looks(["a"]))
    (marks,) = axes.collections
    assert marks.get_label() == "not finite"
    assert 20 <= len(np.asarray(marks.get_offsets())) <= 30


def test_a_variant_without_a_finite_attenuation_keeps_its_row(axes: Axes) -> None:
    numbers = {"predicted": math.nan, "measured": math.nan, "low": math.nan, "high": math.nan}
    frame = pd.DataFrame([{"variant": "a", **dict.fromkeys(numbers, 0.5)}, {"variant": "b"}])
    figures.draw_attenuation_by_variant(frame, axes)
    marks = axes.collections[-1]
    assert marks.get_label() == "not finite"
    assert np.asarray(marks.get_offsets()).tolist() == [[0.97, 0]]


def test_layers_of_which_nothing_can_be_drawn_are_named(axes: Axes) -> None:
    columns = ["variant", "layer_index", "share", "log10_left", "log10_right"]
    rows = [("v", index, math.nan, math.nan, math.nan) for index in (0, 1, 2, 4)]
    frame = pd.DataFrame([*rows, ("v", 3, 0.5, -2.0, -1.0)], columns=columns)
    figures.draw_gradient_distributions(frame, axes, ["red"] * 5)
    assert [text.get_text() for text in axes.texts] == ["layers 0 - 2, 4: zero or not finite"]


def test_activations_that_all_overflowed_are_said_to_have(axes: Axes) -> None:
    quantiles = dict.fromkeys(["q01", "q05", "q25", "q50", "q75", "q95", "q99"], math.nan)
    figures.draw_activation_quantiles(
        pd.DataFrame([{"layer_index": 0, **quantiles}]), axes, ["red"]
    )
    outside = {"layer_index": [0], "bin_left": [-1.0], "bin_right": [1.0], "share": [0.0]}
    figures.draw_activation_distributions(pd.DataFrame(outside), axes, ["red"])
    said = [text.get_text() for text in axes.texts]
    assert said == ["layer 0: not finite", "layer 0: none between -1 and 1"]
