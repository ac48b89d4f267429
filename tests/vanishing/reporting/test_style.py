"""Styles: no two the same, and no value lost that an axis cannot show."""

import math

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.support import drawings
from vanishing.judging import verdicts
from vanishing.judging.kinds import KINDS_BY_GRAVITY
from vanishing.params.answers import ANSWERS
from vanishing.reporting import style


@pytest.fixture
def axes() -> Axes:
    """Give empty Axes."""
    return Figure().subplots()


def test_a_hundred_lines_look_different_from_each_other_and_seven_in_colour_alone() -> None:
    styles = style.line_styles([f"v{i}" for i in range(140)])
    assert len(set(styles.values())) == 140
    assert len({look.color for look in list(styles.values())[:7]}) == 7


def test_layers_get_lighter_from_the_input_on() -> None:
    colors = style.layer_colors(5)
    assert len(colors) == 5
    lightness = [sum(color[:3]) for color in colors]
    assert lightness == sorted(lightness)


@pytest.mark.parametrize(
    ("styles", "names"),
    [
        (
            style.RULE_STYLES,
            {*KINDS_BY_GRAVITY, verdicts.FINE, verdicts.UNDEFINED, verdicts.NOT_APPLICABLE},
        ),
        (style.LEARNING_STYLES, set(ANSWERS)),
    ],
)
def test_every_verdict_has_a_sign_and_a_colour_of_its_own(
    styles: dict[str, style.VerdictStyle], names: set[str]
) -> None:
    assert set(styles) == names
    for field in ("color", "sign"):
        assert len({getattr(look, field) for look in styles.values()}) == len(names)


def test_values_that_an_axis_cannot_show_are_marked_at_its_edge(axes: Axes) -> None:
    axes.set_yscale("log")
    values = pd.Series([1.0, math.nan, 0.0, math.inf, -2.0])
    style.mark_off_scale(axes, pd.Series(range(5)), values, "red")
    assert drawings.points(axes) == {
        "not finite": [(1, 0.97), (3, 0.97)],
        "zero": [(2, 0.03), (4, 0.03)],
    }
    low, high = axes.get_xlim()
    assert low < 1
    assert high > 4


def test_values_along_x_are_marked_at_the_right_and_the_left_edge(axes: Axes) -> None:
    axes.set_xscale("log")
    style.mark_off_scale(axes, pd.Series([7, 8]), pd.Series([math.nan, 0.0]), "red", "x")
    assert drawings.points(axes) == {"not finite": [(0.97, 7)], "zero": [(0.03, 8)]}


def test_zero_has_its_place_on_a_linear_axis_and_many_marks_are_thinned(axes: Axes) -> None:
    values = pd.Series([0.0, *[math.nan] * 499])
    style.mark_off_scale(axes, pd.Series(range(500)), values, "red")
    (marks,) = drawings.points(axes).values()
    assert 20 <= len(marks) <= 30


def test_marks_are_labelled_once_however_many_lines_have_some(axes: Axes) -> None:
    for color in ("red", "blue"):
        style.mark_off_scale(axes, pd.Series([0]), pd.Series([math.nan]), color)
    assert axes.get_legend_handles_labels()[1] == ["not finite"]


def test_neighbouring_numbers_are_written_as_a_range() -> None:
    assert style.ranges([0, 1, 2, 4]) == "0 - 2, 4"
    assert style.ranges([3]) == "3"


def test_layers_that_could_not_be_drawn_are_named(axes: Axes) -> None:
    style.note_layers(axes, [], "zero")
    assert drawings.texts(axes) == []
    style.note_layers(axes, [4], "zero")
    style.note_layers(axes, [0, 1], "not finite")
    assert drawings.texts(axes) == ["layer 4: zero", "layers 0 - 1: not finite"]
