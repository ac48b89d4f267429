"""A variant's card."""

import numpy as np

from tests.support import drawings
from tests.vanishing.reporting.made_up_tables import tables
from vanishing.reporting import card


def test_a_card_has_six_labelled_panels_of_one_variant() -> None:
    figure = card.draw_card("a", tables(["a"]))
    panels = figure.axes[:6]
    assert figure.get_suptitle() == "a"
    assert all(axes.get_xlabel() and axes.get_ylabel() for axes in panels)
    losses, decay, depth, *_ = panels
    assert list(drawings.lines(losses)) == ["train", "test"]
    assert list(drawings.lines(decay)) == ["at initialisation", "after 2 epochs"]
    assert len(drawings.points(depth)["measured"]) == 3


def test_a_variant_of_which_nothing_is_finite_has_a_card_that_says_so() -> None:
    frames = tables(["a"])
    for table in ("history", "trace", "layers", "theory"):
        numbers = frames[table].select_dtypes(float).columns
        frames[table] = frames[table].assign(**dict.fromkeys(numbers, np.nan))
    panels = card.draw_card("a", frames).axes
    assert "not finite" in drawings.points(panels[0])
    assert "not finite" in drawings.points(panels[1])
