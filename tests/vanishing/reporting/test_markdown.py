"""The report's tables and numbers."""

from vanishing.params.diagnose import Params
from vanishing.reporting import markdown


def test_a_difference_names_the_reference_and_the_change(settings: Params) -> None:
    assert markdown.difference(settings.variants, "relu") == "sigmoid: activation relu"
    assert markdown.difference(settings.variants, "sigmoid") == "(reference)"


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    row = {
        "variant": "v",
        "rule": "vanishing_gradient",
        "quantity": "mean |dL/dW|",
        "layer": "first",
        "epoch": 1,
        "step": None,
        "measured": 1e-9,
        "relation": "below",
        "threshold": 1e-7,
        "verdict": "problem",
    }
    header, _, line = markdown.problems_table([row]).splitlines()
    assert line.replace("\\|", "").count("|") == header.count("|")


def test_what_is_unknown_is_named() -> None:
    assert markdown.number(None) == "not finite"
    assert markdown.effect(None) == "unknown"
    assert markdown.effect(0.12345) == "0.123"
    assert markdown.effect(0.999997) == "0.999997"
    assert markdown.effect(1.0) == "1"
    assert markdown.interval(None) == "none"
    assert markdown.interval([0.12345, None]) == "none"
    assert markdown.interval([0.12345, 2.0]) == "0.123 to 2"


def test_sentences_begin_with_a_capital_and_symbols_stay() -> None:
    assert markdown.sentence("share of z") == "Share of z"
    assert markdown.sentence("χ = 1") == "χ = 1"
