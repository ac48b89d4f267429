"""Formulas: the Python that is shown gives what was computed."""

import pytest

from tests.vanishing.judging.made_up_study import random_study
from vanishing.judging import effects
from vanishing.judging.formulas import Effect, Formula

TABLES = random_study(["sigmoid", "relu", "swish", "tanh"])
RELU, SIGMOID = Effect(effects.hop, "relu"), Effect(effects.hop, "sigmoid")


@pytest.mark.parametrize(
    ("formula", "source"),
    [
        (RELU, 'hop(t, "relu")'),
        (RELU / SIGMOID, 'hop(t, "relu") / hop(t, "sigmoid")'),
        (RELU - SIGMOID, 'hop(t, "relu") - hop(t, "sigmoid")'),
        (
            Effect(effects.median_of_steady, effects.small_shares),
            "median_of_steady(t, small_shares(t))",
        ),
    ],
)
def test_a_formula_is_shown_as_the_python_that_computes_it(formula: Formula, source: str) -> None:
    assert formula.source == source
    expected = eval(source, {**vars(effects), "t": TABLES})  # noqa: S307 - as a reader would run it
    assert formula.values(TABLES).to_dict() == expected.to_dict()


def test_a_formula_knows_the_variants_that_it_names_in_order() -> None:
    assert (RELU / SIGMOID).variants == ("relu", "sigmoid")
    assert Effect(effects.median_of_steady, effects.small_shares).variants == ()


def test_a_seed_that_one_side_lacks_has_no_number() -> None:
    fresh = TABLES["initialisation"]
    lacking = fresh[(fresh["variant"] != "relu") | (fresh["seed"] > 0)]
    ratio = (RELU / SIGMOID).values({**TABLES, "initialisation": lacking})
    assert ratio.isna().to_dict() == {0: True, 1: False, 2: False, 3: False}
