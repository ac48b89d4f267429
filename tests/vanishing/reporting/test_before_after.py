"""The figure of a comparison: curves before and after in the same axes."""

import math

import pandas as pd
import pytest
from matplotlib.figure import Figure

from tests.support import drawings
from vanishing.reporting.before_after import Curves, draw_before_and_after


def curves(*rows: tuple[str, float], epochs: int = 2) -> Curves:
    """Return curves of variants, each with a factor for all of its values."""
    history = [
        (name, epoch, factor * (2 - epoch / 2), factor * epoch / 8)
        for name, factor in rows
        for epoch in range(epochs + 1)
    ]
    gradients = [
        (name, epoch, layer, factor * 2.0 ** (layer - epoch))
        for name, factor in rows
        for epoch in (0, epochs)
        for layer in range(3)
    ]
    return Curves(
        pd.DataFrame(history, columns=["variant", "epoch", "train_loss", "test_accuracy"]),
        pd.DataFrame(gradients, columns=["variant", "epoch", "layer_index", "rms"]),
    )


@pytest.fixture
def figure() -> Figure:
    """Give a figure of two variants, of which one is new, and trained longer than before."""
    before, after = curves(("a", 1.0)), curves(("a", 2.0), ("b", 3.0), ("c", 9.0), epochs=3)
    return draw_before_and_after(before, after, ["a", "b"])


def test_each_panel_has_a_line_per_variant_and_side(figure: Figure) -> None:
    first, last, loss, accuracy = map(drawings.lines, figure.axes)
    assert first["a before"] == [(0, 1.0), (1, 2.0), (2, 4.0)]
    assert first["a after"] == [(0, 2.0), (1, 4.0), (2, 8.0)]
    assert last["a before"] == [(0, 0.25), (1, 0.5), (2, 1.0)]
    assert last["b after"] == [(0, 0.375), (1, 0.75), (2, 1.5)]
    assert loss["a before"] == [(0, 2.0), (1, 1.5), (2, 1.0)]
    assert loss["a after"] == [(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0)]
    assert accuracy["b after"][-1] == (3, 1.125)
    assert accuracy["b before"] == []
    assert "c after" not in accuracy


def test_a_variant_has_one_colour_and_a_side_one_kind_of_line(figure: Figure) -> None:
    for axes in figure.axes:
        lines = {str(line.get_label()): line for line in axes.lines}
        assert lines["a before"].get_color() == lines["a after"].get_color()
        assert lines["a after"].get_color() != lines["b after"].get_color()
        styles = {label.split()[1]: line.get_linestyle() for label, line in lines.items()}
        assert styles == {"before": "--", "after": "-"}
    assert drawings.legend(figure) == ["a", "b", "before", "after"]


def test_it_says_when_snapshots_were_taken_and_what_axes_are(figure: Figure) -> None:
    assert drawings.titles(figure) == [
        "at initialisation",
        "after 2 epochs, then after 3 epochs",
    ]
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


def test_values_without_a_place_are_marked() -> None:
    before, after = curves(("a", 1.0)), curves(("a", 1.0))
    after.history.loc[1, "train_loss"] = math.nan
    figure = draw_before_and_after(before, after, ["a"])
    assert drawings.points(figure.axes[2]).keys() == {"not finite"}
