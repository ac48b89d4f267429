"""Panels, legends and labels."""

import math

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.support import drawings
from vanishing.reporting import layout


def draw(rows: pd.DataFrame, axes: Axes) -> Axes:
    """Draw a line."""
    axes.plot(rows["x"], rows["x"], label="line")
    return axes


def test_every_variant_has_its_panel_with_its_rows_and_no_panel_is_empty() -> None:
    names = ["a", "b", "c", "d"]
    frame = pd.DataFrame({"variant": names, "x": range(4)})
    figure = layout.draw_grid(frame, names, draw, ("below", "beside"))
    assert drawings.titles(figure) == names
    assert [drawings.lines(axes)["line"] for axes in figure.axes] == [[(i, i)] for i in range(4)]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("below", "beside")


@pytest.mark.parametrize("add", [layout.add_legend_above, layout.add_legend_below])
def test_a_legend_has_each_label_of_the_panels_once(add: object) -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    for axes, labels in ((left, ("a", "b")), (right, ("b", "c"))):
        for label in labels:
            axes.plot([0], [0], label=label)
    assert callable(add)
    add(figure)
    assert drawings.legend(figure) == ["a", "b", "c"]


def test_layers_are_numbered_from_the_input() -> None:
    figure = Figure()
    layout.add_layer_legend(figure, ["red", "blue"], "layer")
    assert drawings.legend(figure) == ["0", "1"]


def test_a_colour_scale_spans_the_finite_values() -> None:
    norm = layout.finite_range(pd.Series([-math.inf, 2.0, math.nan, 5.0]))
    assert (norm.vmin, norm.vmax) == (2.0, 5.0)


def test_a_snapshot_is_described_in_words() -> None:
    described = [layout.describe_epoch(epoch) for epoch in (0, 1, 2)]
    assert described == ["at initialisation", "after 1 epoch", "after 2 epochs"]
